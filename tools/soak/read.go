//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"

	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/capture/wire"
	"github.com/vmihailenco/msgpack/v5"
)

// syncBytes begin every frame: an array of nine, the sync string and the major version.
const syncBytes = "\x99\xa9topotape1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// read takes the tapes of a file apart. What is no sound frame is left out, and a
// sound frame whose content is none is kept as bytes.
func read(b []byte) ([]*tape, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	whole := b
	var list []*tape
	for len(b) > 0 {
		at := bytes.Index(b, []byte(syncBytes))
		if at < 0 {
			break
		}
		b = b[at:]
		f, n := readFrame(dec, b)
		if f == nil {
			b = b[1:]
			continue
		}
		b = b[n:]
		if f.kind == frameHead || len(list) == 0 {
			list = append(list, &tape{page: 4096, chunk: 256 << 10})
		}
		t := list[len(list)-1]
		switch f.kind {
		case frameFoot:
			t.closed = true
		case frameIndex:
		default:
			t.frames = append(t.frames, f)
		}
	}
	if len(list) == 0 { // of another format
		list = append(list, &tape{page: 4096, chunk: 256 << 10, frames: []*frame{{payload: whole}}})
	}
	return list, nil
}

// readFrame reads the frame at the beginning of b and returns its length.
func readFrame(dec *zstd.Decoder, b []byte) (*frame, int) {
	if len(b) < headerLen {
		return nil, 0
	}
	stored := int(binary.BigEndian.Uint32(b[49:]))
	if stored > len(b)-headerLen {
		return nil, 0
	}
	payload := b[headerLen : headerLen+stored]
	if crc32.Checksum(payload, castagnoli) != binary.BigEndian.Uint32(b[39:]) {
		return nil, 0
	}
	f := &frame{kind: b[12], coding: b[14], fileID: binary.BigEndian.Uint64(b[25:]), payload: payload}
	if f.coding == zstds {
		all, err := dec.DecodeAll(payload, nil)
		if err != nil {
			f.coding = plain
		} else {
			f.payload = all
		}
	}
	if f.kind == frameChunk {
		if records, err := readRecords(f.payload); err == nil {
			f.records, f.payload = records, nil
		}
	}
	return f, headerLen + stored
}

func readRecords(b []byte) ([]*record, error) {
	list := []*record{}
	for len(b) > 0 {
		v, n, err := decode(b)
		if err != nil {
			return nil, err
		}
		b = b[n:]
		a, ok := v.([]any)
		if !ok || len(a) < 5 {
			return nil, fmt.Errorf("%T of %d elements is no record", v, len(a))
		}
		list = append(list, &record{kind: number(a[0]), seq: number(a[1]), at: number(a[2]), source: number(a[3]), payload: a[4], more: a[5:]})
	}
	return list, nil
}

// decode decodes the value at the beginning of b and returns its length. The library
// trusts the lengths in a value, so they are compared with b first.
func decode(b []byte) (any, int, error) {
	n, err := wire.ValueLen(b)
	if err != nil {
		return nil, 0, err
	}
	v, err := msgpack.NewDecoder(bytes.NewReader(b[:n])).DecodeInterface()
	return wide(v), n, err
}

// wide returns v with integers of 64 bits. The library makes the type that they had on
// tape.
func wide(v any) any {
	switch n := reflect.ValueOf(v); {
	case !n.IsValid():
	case n.CanUint():
		return n.Uint()
	case n.CanInt():
		return n.Int()
	}
	if a, ok := v.([]any); ok {
		for i := range a {
			a[i] = wide(a[i])
		}
	}
	return v
}

// number returns an integer as it is on tape.
func number(v any) uint64 {
	switch v := v.(type) {
	case uint64:
		return v
	case int64:
		return uint64(v)
	}
	return 0
}
