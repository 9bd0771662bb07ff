package tape

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// A run describes consecutive chunks of one index page as if they were one chunk.
// The last page of a tape has the runs of all other pages, so a reader that looks
// for something on a tape reads few of its pages.
type run Entry

func (r *run) fields(c *wire.Coder) {
	c.Uint64(&r.Offset)
	c.Uint64(&r.Stored)
	c.Uint64(&r.Plain)
	c.Uint64(&r.FirstSeq)
	c.Uint64(&r.LastSeq)
	c.Int64(&r.FirstAt)
	c.Int64(&r.LastAt)
	wire.List(c, &r.Counts, (*Count).fields)
	c.Uint64(&r.chunks)
	c.Uint64(&r.page)
}

// A pageBuilder makes the pages of an index for a Writer.
type pageBuilder struct {
	full     int     // entries that make a page full
	entries  []Entry // of the open page
	listed   int     // these entries and their counts together
	previous uint64  // offset of the last page, 0 for none
	earlier  uint64  // offset of the last page that has runs, 0 for none
	runs     []run   // of that page's chunks, and of those of the pages after it
}

func (b *pageBuilder) add(e Entry) {
	b.entries = append(b.entries, e)
	b.listed += 1 + len(e.Counts)
}

func (b *pageBuilder) pageIsFull() bool { return len(b.entries) == b.full || b.listed >= maxListed }

// page returns the open page. The last page has the runs of the pages before it;
// another page has them only if they would fill a page.
func (b *pageBuilder) page(last bool) indexPage {
	p := indexPage{previous: b.previous, entries: b.entries}
	if last || manyRuns(b.runs) {
		p.earlier, p.runs = b.earlier, b.runs
	}
	return p
}

// written begins another page after p was written at an offset.
func (b *pageBuilder) written(p *indexPage, at uint64) {
	if len(p.runs) > 0 {
		b.earlier, b.runs = at, nil
	}
	b.runs = appendRuns(b.runs, at, b.entries)
	b.previous, b.entries, b.listed = at, b.entries[:0], 0
}

// maxRunCounts bounds the counts of a run of several chunks.
const maxRunCounts = 256

// appendRuns appends the runs of the page at an offset.
func appendRuns(runs []run, at uint64, page []Entry) []run {
	open := false // the last run may get more chunks
	for i := range page {
		e := &page[i]
		alone := len(e.Counts) > maxRunCounts || slices.ContainsFunc(e.Counts, func(n Count) bool { return alwaysAlone(capture.Kind(n.Kind)) })
		if open && !alone && runs[len(runs)-1].join(e) {
			continue
		}
		r := run(*e)
		r.chunks, r.page, r.Counts = 1, at, slices.Clone(e.Counts)
		runs, open = append(runs, r), !alone
	}
	return runs
}

// alwaysAlone reports whether a chunk with records of the kind is a run of its
// own: info reads the rare records, and after a gap the dump that repairs it.
func alwaysAlone(k capture.Kind) bool {
	return k.Rare() || k == capture.KindDumpBegin || k == capture.KindDumpEnd
}

// join adds the chunk that follows the run. It returns false, and changes
// nothing, if that makes too many counts.
func (r *run) join(e *Entry) bool {
	counts := len(r.Counts)
	for _, n := range e.Counts {
		i := slices.IndexFunc(r.Counts[:counts], func(m Count) bool { return m.Kind == n.Kind && m.Source == n.Source })
		if i < 0 {
			r.Counts = append(r.Counts, Count{Kind: n.Kind, Source: n.Source})
		}
	}
	if len(r.Counts) > maxRunCounts {
		r.Counts = r.Counts[:counts]
		return false
	}
	for _, n := range e.Counts {
		i := slices.IndexFunc(r.Counts, func(m Count) bool { return m.Kind == n.Kind && m.Source == n.Source })
		r.Counts[i].Records += n.Records
		r.Counts[i].Bytes += n.Bytes
	}
	if counts == 0 {
		r.FirstAt = e.FirstAt
	}
	if len(e.Counts) > 0 {
		r.LastAt = e.LastAt
	}
	if r.FirstSeq == 0 {
		r.FirstSeq = e.FirstSeq
	}
	if e.LastSeq != 0 {
		r.LastSeq = e.LastSeq
	}
	r.Stored, r.Plain, r.chunks = e.Offset+e.Stored-r.Offset, r.Plain+e.Plain, r.chunks+1
	return true
}

// manyRuns reports whether runs fill a page.
func manyRuns(runs []run) bool {
	listed := len(runs)
	for i := range runs {
		listed += len(runs[i].Counts)
	}
	return len(runs) >= maxEntries || listed >= maxListed
}

// checkRuns checks the runs of the page at an offset: they must be in order,
// within their pages, and large enough for their chunks.
func (p *indexPage) checkRuns(at uint64) error {
	free, page := uint64(frameHeaderLen), p.earlier
	for i := range p.runs {
		r := &p.runs[i]
		if r.page > page {
			free, page = max(free, page+1), r.page
		}
		if r.page < page || r.page >= at || r.Offset < free || r.Offset > r.page || r.Stored > r.page-r.Offset ||
			r.chunks == 0 || r.chunks > maxEntries || r.Stored/frameHeaderLen < r.chunks || uint64(len(r.Counts)) > r.Stored {
			return fmt.Errorf("run %d of %d cannot be %d chunks in %d bytes at offset %d, of the page at %d", i+1, len(p.runs), r.chunks, r.Stored, r.Offset, r.page)
		}
		free = r.Offset + r.Stored
	}
	return nil
}

var errNoRuns = errors.New("the index has no runs")

// readRuns reads the last page, and the runs of the pages before it.
func (ix *Index) readRuns(f io.ReaderAt) error {
	var d unpacker
	at, limit := ix.foot.index, ix.foot.offset
	if at == 0 {
		return errNoRuns
	}
	p, err := readPage(f, &d, ix.fileID, ix.Base, at, limit)
	if err != nil {
		return err
	}
	parts := [][]Entry{p.entries}
	for more := p.previous != 0; more; {
		if len(p.runs) == 0 {
			return errNoRuns
		}
		if err := p.checkRuns(at); err != nil {
			return err
		}
		part := make([]Entry, len(p.runs))
		for i, r := range p.runs {
			part[i] = Entry(r)
		}
		parts = append(parts, part)
		if more = p.earlier != 0; more {
			at, limit = p.earlier, at
			if p, err = readPage(f, &d, ix.fileID, ix.Base, at, limit); err != nil {
				return err
			}
		}
	}
	slices.Reverse(parts)
	ix.Entries = slices.Concat(parts...)
	return ix.check()
}

// Run reports whether the entry describes several chunks together.
func (e *Entry) Run() bool { return e.chunks > 1 }

// Chunks reads the entries of the chunks that an entry of the index describes,
// without chunks that have no records. It is an error if the index contradicts
// itself.
func (ix *Index) Chunks(f io.ReaderAt, e *Entry) ([]Entry, error) {
	if !e.Run() {
		return []Entry{*e}, nil
	}
	if ix.pageAt != e.page {
		var d unpacker
		p, err := readPage(f, &d, ix.fileID, ix.Base, e.page, ix.foot.offset)
		if err != nil {
			return nil, fmt.Errorf("index at offset %d: %w", e.page, err)
		}
		ix.page, ix.pageAt = p.entries, e.page
	}
	i := slices.IndexFunc(ix.page, func(c Entry) bool { return c.Offset == e.Offset })
	if i < 0 || e.chunks > uint64(len(ix.page)-i) {
		return nil, fmt.Errorf("index at offset %d: it does not list the chunk at %d", e.page, e.Offset)
	}
	list := slices.Clone(ix.page[i : i+int(e.chunks)])
	sum := run(list[0])
	sum.Counts, sum.chunks, sum.page = slices.Clone(sum.Counts), 1, e.page
	for j := range list[1:] {
		if !sum.join(&list[1+j]) {
			break
		}
	}
	if !sum.equal(e) {
		return nil, fmt.Errorf("index at offset %d: the chunks from %d on are not what their run says", e.page, e.Offset)
	}
	return slices.DeleteFunc(list, empty), nil
}

func (r *run) equal(e *Entry) bool {
	return r.Offset == e.Offset && r.Stored == e.Stored && r.Plain == e.Plain && r.FirstSeq == e.FirstSeq && r.LastSeq == e.LastSeq &&
		r.FirstAt == e.FirstAt && r.LastAt == e.LastAt && r.chunks == e.chunks && r.page == e.page && slices.Equal(r.Counts, e.Counts)
}
