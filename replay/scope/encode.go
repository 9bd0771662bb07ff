package scope

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/topotape/topotape/reporter/report"
)

// AppendJSON appends the report in JSON, without a final newline. Scope's app accepts
// it at /api/report as application/json.
func AppendJSON(b []byte, r *report.Report) []byte {
	return appendJSON(b, content(r))
}

func appendJSON(b []byte, v object) []byte {
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf) // which sorts keys
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // no value of an object fails
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// MarshalJSON returns the node's fields in JSON.
func (v node) MarshalJSON() ([]byte, error) { return appendJSON(nil, v.fields()), nil }

// AppendMsgpack appends the same in MessagePack, which the app accepts as
// application/msgpack. It is the MessagePack of 2016, which no library writes: strings
// and bytes are one type, raw, and no raw has a length of one byte.
func AppendMsgpack(b []byte, r *report.Report) []byte { return appendValue(b, content(r)) }

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 0xc0)
	case bool:
		if v {
			return append(b, 0xc3)
		}
		return append(b, 0xc2)
	case int: // below 128
		return append(b, byte(v))
	case string:
		return append(appendLength(b, len(v), 0xa0, 32, 0xda), v...)
	case time.Time:
		raw, _ := v.MarshalBinary() // it fails for odd offsets only
		return appendValue(b, string(raw))
	case []string:
		if v == nil {
			return appendValue(b, nil)
		}
		b = appendLength(b, len(v), 0x90, 16, 0xdc)
		for _, s := range v {
			b = appendValue(b, s)
		}
		return b
	case node:
		return appendValue(b, v.fields())
	case object:
		b = appendLength(b, len(v), 0x80, 16, 0xde)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = appendValue(appendValue(b, k), v[k])
		}
		return b
	}
	panic("no such value")
}

// appendLength appends the head of a value. A length below short is part of the first
// byte; else the code wide precedes two bytes of length, or wide+1 four.
func appendLength(b []byte, n int, first byte, short int, wide byte) []byte {
	switch {
	case n < short:
		return append(b, first|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, wide), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, wide+1), uint32(n))
}
