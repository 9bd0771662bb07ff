package tape

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Format is the major version of the tape's format, a part of every frame's sync
// string. Minor increases when something is added that older readers can skip.
const (
	Format = 1
	Minor  = 3
)

// frameKind says what a frame's payload is. A reader refuses unknown kinds below
// frameOptional, and skips those from there on.
type frameKind uint8

const (
	frameHead  frameKind = 1
	frameChunk frameKind = 2
	frameIndex frameKind = 3
	frameFoot  frameKind = 4

	frameOptional frameKind = 64
)

const (
	codingPlain = 0
	codingZstd  = 1
)

// Offsets of the fields in a frame; doc.go draws it.
const (
	frameSync      = "topotape" // then the major version, one digit
	frameHeaderLen = 53
	offMajor       = 2 + len(frameSync)
	offKind        = offMajor + 1 + 1
	offCoding      = offKind + 2
	offNumber      = offCoding + 2
	offFileID      = offNumber + 9
	offPlain       = offFileID + 9
	offPayloadCRC  = offPlain + 5
	offHeaderCRC   = offPayloadCRC + 5
	offStored      = offHeaderCRC + 5

	maxPayload = 8 << 20 // bytes, stored and plain
)

// A payload whose decoded length is more than maxRatio times the length of its frame is
// expanding. A Writer stores it plain, so that reading takes time and memory in proportion to
// the file. For files of older versions, readers decode maxExpanding bytes of such payloads.
const (
	maxRatio     = 256
	maxExpanding = 40 << 20
)

func expanding(plain, stored int) bool { return plain > maxRatio*(frameHeaderLen+stored) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameTemplate is a frame's header with the bytes that never change.
var frameTemplate = func() (t [frameHeaderLen]byte) {
	t[0] = 0x99
	t[1] = 0xa0 | byte(len(frameSync)+1)
	copy(t[2:], frameSync)
	t[offMajor] = '0' + Format
	t[offKind-1] = 0xcc
	t[offCoding-1] = 0xcc
	t[offNumber-1] = 0xcf
	t[offFileID-1] = 0xcf
	t[offPlain-1] = 0xce
	t[offPayloadCRC-1] = 0xce
	t[offHeaderCRC-1] = 0xce
	t[offStored-1] = 0xc6
	return t
}()

type frameHeader struct {
	kind   frameKind
	coding uint8
	number uint64
	fileID uint64
	plain  uint32 // length of the payload when decoded
	crc    uint32 // of the payload as stored
	stored uint32
}

// append appends the frame's header; the caller appends the payload.
func (h *frameHeader) append(b []byte) []byte {
	at := len(b)
	b = append(b, frameTemplate[:]...)
	f := b[at:]
	f[offKind] = byte(h.kind)
	f[offCoding] = h.coding
	binary.BigEndian.PutUint64(f[offNumber:], h.number)
	binary.BigEndian.PutUint64(f[offFileID:], h.fileID)
	binary.BigEndian.PutUint32(f[offPlain:], h.plain)
	binary.BigEndian.PutUint32(f[offPayloadCRC:], h.crc)
	binary.BigEndian.PutUint32(f[offStored:], h.stored)
	binary.BigEndian.PutUint32(f[offHeaderCRC:], headerCRC(f))
	return b
}

// headerCRC covers the header's other bytes: those before the field, and the
// payload's length after it.
func headerCRC(f []byte) uint32 {
	c := crc32.Update(0, castagnoli, f[:offHeaderCRC])
	return crc32.Update(c, castagnoli, f[offHeaderCRC+4:frameHeaderLen])
}

var (
	errNoSync     = errors.New("no frame begins here")
	errHeaderCRC  = errors.New("frame header fails its checksum")
	errPayloadCRC = errors.New("frame fails its checksum")
	errTooLarge   = errors.New("frame announces more than 8 MiB")
)

// parse reads a header from the first frameHeaderLen bytes of f. The error is a
// *VersionError if a newer major version seems to have written it.
func (h *frameHeader) parse(f []byte) error {
	if f[0] != frameTemplate[0] || f[1] != frameTemplate[1] || string(f[2:offMajor]) != frameSync {
		return errNoSync
	}
	sum := binary.BigEndian.Uint32(f[offHeaderCRC:])
	if major := f[offMajor]; major != '0'+Format {
		var as [frameHeaderLen]byte
		copy(as[:], f)
		as[offMajor] = '0' + Format
		if headerCRC(as[:]) != sum && major > '0'+Format && major <= '9' {
			return &VersionError{Major: int(major - '0')}
		}
		return errHeaderCRC // our format, with a damaged version
	}
	if headerCRC(f) != sum {
		return errHeaderCRC
	}
	for _, at := range [...]int{offKind, offCoding, offNumber, offFileID, offPlain, offPayloadCRC, offHeaderCRC, offStored} {
		if f[at-1] != frameTemplate[at-1] {
			return errNoSync
		}
	}
	*h = frameHeader{
		kind:   frameKind(f[offKind]),
		coding: f[offCoding],
		number: binary.BigEndian.Uint64(f[offNumber:]),
		fileID: binary.BigEndian.Uint64(f[offFileID:]),
		plain:  binary.BigEndian.Uint32(f[offPlain:]),
		crc:    binary.BigEndian.Uint32(f[offPayloadCRC:]),
		stored: binary.BigEndian.Uint32(f[offStored:]),
	}
	if h.plain > maxPayload || h.stored > maxPayload {
		return errTooLarge
	}
	return nil
}
