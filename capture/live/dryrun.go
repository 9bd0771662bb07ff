package live

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/quote"
)

// DryRun opens every source, writes to w what each would see or what it lacks,
// and records nothing. It is an error if no source can be recorded.
func DryRun(o Options, w io.Writer) error {
	return dryRun(o, thisMachine(), w)
}

func dryRun(o Options, m *machine, w io.Writer) error {
	o.setDefaults()
	start := m.boot()
	sources, err := m.sources(&o, func() int64 { return m.boot() - start })
	if err != nil {
		return err
	}
	good := 0
	for _, s := range sources {
		if err := s.Open(); err != nil {
			quote.Line(w, "%s: can't be recorded: %v", s.kind, err)
			continue
		}
		good++
		describe(s, w)
	}
	host, err := m.host(&o)
	if err != nil {
		quote.Line(w, "host: some facts are missing: %v", err)
	}
	quote.Line(w, "host: %s (id %s), kernel %s", host.Name, host.ID, host.Kernel)
	for _, s := range host.Sysctls {
		if s.Value != "" {
			quote.Line(w, "host: %s = %s", s.Name, s.Value)
		}
	}
	if o.Output != "-" {
		path := o.Output
		if path == "" {
			path = defaultName(host.Name, time.Unix(0, m.wall()))
		}
		quote.Line(w, "tape: %s, for %s, at most %s", path, o.Duration, size(o.MaxSize))
	}
	if good == 0 {
		return errors.New("none of the sources can be recorded")
	}
	return nil
}

// describe writes what an open source would see, and closes the source.
func describe(s source, w io.Writer) {
	var opened capture.Source
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	var lines []string
	if d, ok := s.Collector.(interface{ Describe() []string }); ok {
		lines = d.Describe()
	}
	err := runAndDiscard(stopped, s, func(b *collect.Batch) {
		for i := range b.Records {
			if b.Records[i].Kind == capture.KindSource {
				b.Records[i].Decode(&opened)
			}
		}
	})
	state := "can be recorded"
	if why := opened.Why; why != "" {
		state = "degraded: " + why
	}
	if err != nil {
		state = "can't be recorded: " + err.Error()
	}
	quote.Line(w, "%s: %s", s.kind, state)
	for _, line := range lines {
		quote.Line(w, "%s: %s", s.kind, line)
	}
}
