package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
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
			fmt.Fprintf(w, "%s: can't be recorded: %v\n", s.kind, err)
			continue
		}
		good++
		describe(s, w)
	}
	host, err := m.host(&o)
	if err != nil {
		fmt.Fprintf(w, "host: some facts are missing: %v\n", err)
	}
	fmt.Fprintf(w, "host: %s (id %s), kernel %s\n", host.Name, host.ID, host.Kernel)
	for _, s := range host.Sysctls {
		if s.Value != "" {
			fmt.Fprintf(w, "host: %s = %s\n", s.Name, s.Value)
		}
	}
	if o.Output != "-" {
		path := o.Output
		if path == "" {
			path = defaultName(host.Name, time.Unix(0, m.wall()))
		}
		fmt.Fprintf(w, "tape: %s, for %s, at most %s\n", path, o.Duration, size(o.MaxSize))
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
	fmt.Fprintf(w, "%s: %s\n", s.kind, state)
	for _, line := range lines {
		fmt.Fprintf(w, "%s: %s\n", s.kind, line)
	}
}
