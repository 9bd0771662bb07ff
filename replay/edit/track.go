package edit

import (
	"cmp"
	"math"
	"slices"

	"github.com/topotape/topotape/replay"
)

// A track is the place of a recording on a time line. Times and numbers on the line
// are those of the new tape.
type track struct {
	offset     int64             // time on the line at which the recording starts
	numbers    map[uint32]uint32 // of its sources: the recording's to the line's
	reader     *recordingReader
	next       recordingItem // the next record
	open       openSources   // by their numbers on the line
	tickKept   bool          // its last tick is on the line
	renumbered recentNumbers
}

// lineTime returns the time on the line of one of the recording's times.
func (t *track) lineTime(at int64) int64 { return replay.AddTime(t.offset, at) }

func compareNext(a, b *recording) int {
	return cmp.Or(cmp.Compare(a.lineTime(a.next.record.At), b.lineTime(b.next.record.At)), cmp.Compare(a.order, b.order))
}

func (r *recording) overlaps(o *recording) bool { return o.from <= r.to && r.from <= o.to }

// namedAfter reports whether a time of the line is within a recording of the list that
// was named before r.
func (r *recording) namedAfter(list []*recording, at int64) bool {
	return slices.ContainsFunc(list, func(o *recording) bool { return o.order < r.order && o.from <= at && at <= o.to })
}

// recentNumbers maps the numbers of a recording's last records to their numbers on
// the line. A fault refers to a record that is not far before it.
type recentNumbers struct {
	recording, line [64]uint64
	next            int // index of the pair to be replaced
}

func (n *recentNumbers) add(recording, line uint64) {
	n.recording[n.next], n.line[n.next] = recording, line
	n.next = (n.next + 1) % len(n.line)
}

// get returns 0 for a record that is too far back.
func (n *recentNumbers) get(recording uint64) uint64 {
	if at := slices.Index(n.recording[:], recording); at >= 0 {
		return n.line[at]
	}
	return 0
}

// placeRecordings puts recordings onto a line that starts with the first of them.
// Each starts where the wall clock of the line, with the steps of the recordings
// placed before, shows its start. It sorts the recordings by start.
func placeRecordings(recordings []*recording) {
	slices.SortStableFunc(recordings, compareStarts)
	start := recordings[0].header().Start
	for i, r := range recordings {
		r.offset = timeAtWall(r.header().Start, start, wallSteps(recordings[:i]))
		r.from, r.to = r.lineTime(r.from), r.lineTime(r.to)
	}
}

// timeAtWall returns the time on a line at which its wall clock shows wall, in Unix
// ns, if it shows start at the line's start. If a step skips wall, it is the step's
// time.
func timeAtWall(wall, start int64, steps []clockStep) int64 {
	at, sum := replay.AddTime(wall, -start), int64(0)
	for _, s := range steps {
		if at < s.at {
			break
		}
		sum += s.step
		at = max(s.at, replay.AddTime(wall, -replay.AddTime(start, sum)))
	}
	return at
}

// wallSteps returns the clock steps on the line, by time.
func wallSteps(placed []*recording) (steps []clockStep) {
	for _, r := range placed {
		for _, s := range r.steps {
			if at := r.lineTime(s.at); !r.namedAfter(placed, at) {
				steps = append(steps, clockStep{at, s.step})
			}
		}
	}
	slices.SortStableFunc(steps, func(a, b clockStep) int { return cmp.Compare(a.at, b.at) })
	return steps
}

// A lineSource is a source on the line, with the recordings that it is in.
type lineSource struct {
	source
	recordings []*recording
}

// numberSources gives the recordings' sources their numbers on the line. The first
// recording keeps its numbers. Sources with the same id are one source if their
// recordings follow one another: it is closed and opened again. If their recordings
// overlap, they are different sources.
func numberSources(recordings []*recording) {
	free := uint32(5) // above the numbers that have a kind by convention, and above all others
	for _, r := range recordings {
		for _, s := range r.sources {
			if s.number < math.MaxUint32 {
				free = max(free, s.number+1)
			}
		}
	}
	var sources []*lineSource
	for _, r := range recordings {
		r.numbers = map[uint32]uint32{0: 0}
		for _, s := range r.sources {
			at := slices.IndexFunc(sources, func(o *lineSource) bool {
				return o.sourceID == s.sourceID && !slices.ContainsFunc(o.recordings, r.overlaps)
			})
			if at < 0 {
				own := s
				if slices.ContainsFunc(sources, func(o *lineSource) bool { return o.number == s.number }) {
					own.number, free = free, free+1
				}
				sources = append(sources, &lineSource{source: own})
				at = len(sources) - 1
			}
			sources[at].recordings = append(sources[at].recordings, r)
			r.numbers[s.number] = sources[at].number
		}
	}
}
