package edit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// deriveHeader returns the header of a derived tape: the one of a parent, with an
// id that is a hash of the parents, the verb and its arguments. The tape stays one
// of the parent's recording, because records keep their numbers.
func deriveHeader(of *capture.Header, tool, verb string, parents []capture.Parent, args ...string) *capture.Header {
	h := *of
	h.Recording = of.Origin()
	h.Minor, h.Tool, h.Core = tape.Minor, tool, reporter.CoreVersion
	h.Derived = capture.Derived{Verb: verb, Parent: parents[0].TapeID, SHA256: parents[0].SHA256, Args: args, Others: parents[1:]}
	sum := sha256.New()
	add := func(b []byte) {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		sum.Write(b)
	}
	for _, text := range append([]string{tool, verb}, args...) {
		add([]byte(text))
	}
	for _, p := range parents {
		add(p.TapeID[:])
		add(p.SHA256[:])
	}
	copy(h.TapeID[:], sum.Sum(nil))
	return &h
}

// parentsOf reads each input once, for its hash.
func parentsOf(inputs []replay.Input) (out []capture.Parent, err error) {
	for _, in := range inputs {
		h, err := in.Head()
		if err != nil {
			return nil, err
		}
		f, err := in.Open()
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.Name, err)
		}
		out = append(out, capture.Parent{TapeID: h.TapeID, SHA256: [32]byte(sum.Sum(nil))})
	}
	return out, nil
}

// isDerived reports whether a verb made the tape from other tapes.
func isDerived(h *capture.Header) bool {
	return h.Derived.Verb != "" && h.Derived.Verb != "build"
}

// The text of an end record that a verb adds begins with one of these.
const (
	endOfCut     = "cut"
	endOfRecover = "recovered: "
	endOfMerge   = "merged: "
)

// isAddedEnd reports whether a verb added the end record. Its number may be the
// number of a record on another tape.
func isAddedEnd(h *capture.Header, r *capture.Record) bool {
	var e capture.End
	if r.Kind != capture.KindEnd || h.Derived.Verb == "" || r.Decode(&e) != nil {
		return false
	}
	return strings.HasPrefix(e.Why, endOfCut) || strings.HasPrefix(e.Why, endOfRecover) || strings.HasPrefix(e.Why, endOfMerge)
}
