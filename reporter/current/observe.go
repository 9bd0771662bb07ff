package current

import "github.com/topotape/topotape/reporter/source"

// An observed is what all flows of a chain show together.
type observed struct {
	first, last int64
	gap         uint64 // number of the record of the last gap of their sources
	state       string // as in flow.stateText
	settled     bool
	rank        uint8 // of the flow that the state is taken from, 0 before the first flow
	established bool  // a flow is or was established
	handshake   bool  // a flow saw a SYN
	closed      bool  // all have ended
	hidden      bool  // a gap may hide the ends of all flows
}

// observe combines what the flows of a chain show.
func observe(c *chain, ss *source.Sources) (o observed) {
	for _, list := range [...][]*flow{c.path, c.passive} {
		for _, f := range list {
			o.add(f, ss.Get(f.key.source))
		}
	}
	return o
}

// add adds a flow and its source.
func (o *observed) add(f *flow, s *source.Source) {
	if o.rank == 0 {
		o.first, o.last, o.closed, o.hidden = f.first, f.last, true, true
	}
	if rank := f.rank(); rank > o.rank {
		o.rank = rank
		o.state, o.settled = f.stateText()
	}
	o.first, o.last, o.gap = min(o.first, f.first), max(o.last, f.last), max(o.gap, s.GapSeq)
	o.established, o.handshake = o.established || f.established, o.handshake || f.handshake
	o.closed, o.hidden = o.closed && f.ended, o.hidden && s.Hidden(f.stateSeq)
}

// rank orders the flows of a chain: the state of the highest one is reported.
func (f *flow) rank() uint8 {
	switch {
	case f.established && !f.ended:
		return 4
	case !f.ended:
		return 3
	case f.established:
		return 2
	}
	return 1
}
