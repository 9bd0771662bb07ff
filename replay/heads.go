package replay

import "github.com/topotape/topotape/capture"

// maxHeads bounds the texts and lists of the headers of a set of tapes, in bytes.
const maxHeads = 16 << 20

// Heads are the headers of a set of tapes. The zero Heads is empty.
type Heads struct{ size int }

// Keep returns a copy of a header. If there are too many bytes of texts, the copy has a note
// that says so in place of them.
func (k *Heads) Keep(h *capture.Header) *capture.Header {
	own := *h
	if size := textSize(h); size <= maxHeads-k.size {
		k.size += size
		return &own
	}
	own.Note = "the texts and lists of this head are left out: those of the tapes together are too large"
	own.Command, own.Derived.Args, own.Derived.Others, own.LocalNetworks = nil, nil, nil, nil
	return &own
}

func textSize(h *capture.Header) int {
	const header = 16 // of a text
	n := len(h.Note) + 64*len(h.Derived.Others)
	for _, list := range [...][]string{h.Command, h.Derived.Args, h.LocalNetworks} {
		for _, text := range list {
			n += header + len(text)
		}
	}
	return n
}
