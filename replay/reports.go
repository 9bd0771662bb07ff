package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/topotape/topotape/reporter/report"
)

// eachReport calls each with the reports in a file as replay prints them: canonical
// JSON, one a line or indented, in an array or not. The error names the input and the
// report. It wraps io.ErrUnexpectedEOF if the input ends within a report.
func (in Input) eachReport(each func(*report.Report) error) error {
	file, err := in.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	n := 0
	err = eachJSON(file, func(text []byte) error {
		n++
		var line bytes.Buffer
		if err := json.Compact(&line, text); err != nil {
			return err
		}
		report, err := report.ParseReport(line.Bytes())
		if err != nil {
			return err
		}
		return each(report)
	})
	if err != nil {
		return fmt.Errorf("%s: report %d: %w", in.Name, n, err)
	}
	return nil
}

// eachJSON calls each with the values of a stream of JSON, or with the elements of
// the array that it consists of.
func eachJSON(r io.Reader, each func([]byte) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	first, err := skipSpace(in)
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	dec := json.NewDecoder(in)
	array := first == '['
	if array {
		dec.Token()
	}
	for !array || dec.More() {
		var text json.RawMessage
		err := dec.Decode(&text)
		switch {
		case err == io.EOF && !array:
			return nil
		case err == io.EOF: // after a comma
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		if err := each(text); err != nil {
			return err
		}
	}
	if _, err = dec.Token(); err == io.EOF { // where the array's end should be
		return io.ErrUnexpectedEOF
	}
	return err
}

// skipSpace skips the white space of JSON and returns the byte after it, unread.
func skipSpace(in *bufio.Reader) (byte, error) {
	for {
		b, err := in.Peek(1)
		if err != nil {
			return 0, err
		}
		if !bytes.ContainsAny(b, " \t\r\n") {
			return b[0], nil
		}
		in.Discard(1)
	}
}
