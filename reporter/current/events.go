package current

import (
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/events"
)

// socketEvent applies a record of the source of socket events.
func (m *Machine) socketEvent(r *capture.Record) {
	s := m.sources.Of(r)
	s.Records++
	var what events.Outcome
	switch r.Kind {
	case capture.KindSocketEvent:
		var change events.Change
		if change, what = m.events.Event(r, m.ticks.Window, m.header.BigEndian); change.Socket != nil {
			m.socketChanged(change)
		}
	case capture.KindProcessEvent:
		what = m.events.Process(r, m.header.BigEndian)
	case capture.KindSocketFormat:
		what = decoded(r, m.events.SetFormat)
	case capture.KindProcesses:
		what = decoded(r, m.events.Snapshot)
	case capture.KindCgroups:
		what = decoded(r, func(*capture.Cgroups) events.Outcome { return events.Applied })
	}
	switch what {
	case events.Undecodable:
		s.Undecodable++
	case events.Ignored:
		s.Ignored++
	case events.LeftOut:
		s.Undecodable++
		s.DegradeWindow("there are too many sockets or processes: some were left out", r.Seq, m.ticks.Window)
	}
}

// decoded decodes a payload and applies it.
func decoded[T any, P interface {
	*T
	capture.Payload
}](r *capture.Record, apply func(P) events.Outcome) events.Outcome {
	var p T
	if r.Decode(P(&p)) != nil {
		return events.Undecodable
	}
	return apply(&p)
}

// viewOf returns the view of a socket that events show; peer is the tuple of the other end's.
func viewOf(s *events.Socket, peer *ctmsg.Tuple) view {
	*peer = s.Reversed()
	return view{&s.Tuple, peer, s.Netns}
}

func endStamp(s *events.Socket) stamp { return stamp{s.End, s.EndSeq} }

// socketChanged suppresses the rows of earlier connections when a socket is established, and
// its own when it ends.
func (m *Machine) socketChanged(c events.Change) {
	var peer ctmsg.Tuple
	v := viewOf(c.Socket, &peer)
	if c.Began && c.Role != events.Unknown {
		m.supersede(v, c.Begun-drainLag)
	}
	if c.Ended && c.Established {
		m.sockets.end(v, endStamp(c.Socket))
	}
}

// carryEvents suppresses the rows of new tables that were read before the begin or the end of
// their sockets. After a loss of events, a complete walk shows which sockets are still open.
func (m *Machine) carryEvents(r *capture.Record, complete bool) {
	var peer ctmsg.Tuple
	for _, s := range m.events.All() {
		if !s.Established {
			continue
		}
		v := viewOf(s, &peer)
		if s.Role != events.Unknown {
			m.sockets.suppressOlder(v, s.Begun-drainLag)
		}
		switch {
		case s.Ended:
			m.sockets.end(v, endStamp(s))
		case !complete || !m.lostSince(s.LastSeq):
		case m.sockets.byTuple[s.Tuple] != nil:
			s.LastSeq = r.Seq // it is still open
		default:
			m.events.Vanished(s, r, m.ticks.Window)
		}
	}
}

// lostSince reports whether events were lost after a record, and before the current walk.
func (m *Machine) lostSince(seq uint64) bool {
	s := m.sources.First(capture.SourceSockets)
	return s != nil && seq < s.GapSeq && s.GapSeq < m.sockets.committed.seq
}

// markOpen marks the rows of sockets that events show as open: their connections end with the
// sockets.
func (m *Machine) markOpen(k *sockets, used rowSet) {
	var peer ctmsg.Tuple
	for _, s := range m.events.All() {
		if !s.Established || s.Ended {
			continue
		}
		v := viewOf(s, &peer)
		for _, v := range [...]view{v, {v.back, v.own, v.netns}} {
			for w := k.firstOf(v); w != nil; w = following(w, v) {
				used[w.number] = true
			}
		}
	}
}
