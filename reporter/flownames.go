package reporter

// flowNames finds flows by the hash of their key: the first of those that have
// it, the others hang on it. Its slots hold no pointers, which the garbage
// collector would follow, and it is at most half full: a look-up reads one line
// of memory most often, and the flow itself.
type flowNames struct {
	slots []nameSlot // a power of two of them, searched from the hash's own on
	count int
}

type nameSlot struct {
	hash uint32
	flow int32 // its number and 1; 0 in an empty slot
}

func (n *flowNames) init() { *n = flowNames{slots: make([]nameSlot, 64)} }

// slot is where the hash is, or would be put.
func (n *flowNames) slot(hash uint32) *nameSlot {
	mask := uint32(len(n.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		if s := &n.slots[at]; s.flow == 0 || s.hash == hash {
			return s
		}
	}
}

// get is the number of the hash's first flow, -1 if there is none.
func (n *flowNames) get(hash uint32) int32 { return n.slot(hash).flow - 1 }

// set makes the flow of that number the first of its hash.
func (n *flowNames) set(hash uint32, flow int32) {
	s := n.slot(hash)
	if s.flow == 0 {
		if n.count++; 2*n.count > len(n.slots) {
			n.resize(2 * len(n.slots))
			s = n.slot(hash)
		}
	}
	*s = nameSlot{hash, flow + 1}
}

// remove takes the hash out. What was put behind it moves up.
func (n *flowNames) remove(hash uint32) {
	mask := uint32(len(n.slots) - 1)
	hole := hash & mask
	for ; n.slots[hole].hash != hash || n.slots[hole].flow == 0; hole = (hole + 1) & mask {
		if n.slots[hole].flow == 0 {
			return
		}
	}
	n.count--
	for at := (hole + 1) & mask; n.slots[at].flow != 0; at = (at + 1) & mask {
		own := n.slots[at].hash & mask
		if (at-own)&mask >= (at-hole)&mask { // it may stand at the hole
			n.slots[hole] = n.slots[at]
			hole = at
		}
	}
	n.slots[hole] = nameSlot{}
	if small := len(n.slots) / 8; n.count < small && small >= 64 {
		n.resize(len(n.slots) / 2)
	}
}

func (n *flowNames) resize(slots int) {
	old := n.slots
	n.slots = make([]nameSlot, slots)
	for _, s := range old {
		if s.flow != 0 {
			*n.slot(s.hash) = s
		}
	}
}

// each visits the first flow of every hash, by its number.
func (n *flowNames) each(visit func(flow int32)) {
	for _, s := range n.slots {
		if s.flow != 0 {
			visit(s.flow - 1)
		}
	}
}

// first is the first of the flows that have the hash, nil if there is none.
func (t *flows) first(hash uint32) *flow {
	n := t.named.get(hash)
	if n < 0 {
		return nil
	}
	return t.at(n)
}

// after is the next flow of the same hash, nil if there is none.
func (t *flows) after(f *flow) *flow {
	if f.next == 0 {
		return nil
	}
	return t.at(f.next - 1)
}

// at is the slot of that number.
func (t *flows) at(number int32) *flow { return &t.pages[number/flowPage][number%flowPage] }

// grow adds a page of empty slots.
func (t *flows) grow() []flow {
	page := make([]flow, flowPage)
	for i := range page {
		page[i].number = int32(len(t.pages)*flowPage + i)
	}
	t.pages = append(t.pages, page)
	return page
}

// find returns the flow of that name, nil if there is none.
func (t *flows) find(key *flowKey) *flow {
	f := t.first(key.hash())
	for f != nil && f.key != *key {
		f = t.after(f)
	}
	return f
}

// hash mixes what tells keys apart but for the id: flows of one tuple are found
// together. A map of whole keys would spend most of a step on hashing and
// comparing them.
func (k *flowKey) hash() uint32 {
	return uint32(mix(tupleBits(&k.orig), uint64(k.source)<<16^uint64(k.zone)^0x1d8e4e27c47d124f) >> 32)
}
