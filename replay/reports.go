package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/topotape/topotape/reporter"
)

// ReadReports reads reports as replay prints them: canonical JSON, one a line or
// indented, in an array or not. The error that ends it names what the reports are
// called; a file that ends within a report is io.ErrUnexpectedEOF.
func ReadReports(name string, r io.Reader) iter.Seq2[*reporter.Report, error] {
	return func(yield func(*reporter.Report, error) bool) {
		n := 0
		err := eachJSON(r, func(text []byte) error {
			n++
			var line bytes.Buffer
			if err := json.Compact(&line, text); err != nil {
				return err
			}
			report, err := reporter.ParseReport(line.Bytes())
			if err != nil {
				return err
			}
			if !yield(report, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(nil, fmt.Errorf("%s: report %d: %w", name, n, err))
		}
	}
}

// errStop ends an iteration that nobody listens to any more.
var errStop = errors.New("stopped")

// eachJSON calls each with the values of a stream, or of the array that it is.
func eachJSON(r io.Reader, each func([]byte) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	array := false
	for {
		b, err := in.Peek(1)
		if err != nil {
			return ended(err)
		}
		if array = b[0] == '['; array || !bytes.ContainsAny(b, " \t\r\n") {
			break
		}
		in.Discard(1)
	}
	dec := json.NewDecoder(in)
	if array {
		dec.Token()
	}
	for !array || dec.More() {
		var text json.RawMessage
		if err := dec.Decode(&text); err != nil {
			return ended(err)
		}
		if err := each(text); err != nil {
			return err
		}
	}
	_, err := dec.Token() // the array's end
	return torn(err)
}

// ended is nil for the end between two values.
func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// torn is the end where there should be more.
func torn(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
