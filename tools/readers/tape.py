#!/usr/bin/python3
"""Prints tapes as JSON lines: [kind, number, time, source, payload] for each record, and how each tape ends.
An example of a reader, written from the document of package capture/tape alone (go doc ./capture/tape).
It needs python3-msgpack and python3-zstandard, takes files whole, and stops at the first damage."""
import io, json, struct, sys
import msgpack, zstandard

class Stop(Exception): pass

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8): crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF

def frame(f, at):
    """The frame at an offset: kind (0 for another major version), coding, number, file id, decoded length, payload."""
    if f[at:at + 10] != b"\x99\xa9topotape" or len(f) - at < 53: raise Stop("torn", at, "no frame")
    major, kind, coding, number, owner, plain, crc, own, stored = struct.unpack_from(">10xcxBxBxQxQxIxIxIxI", f, at)
    sound = crc32c(f[at:at + 10] + b"1" + f[at + 11:at + 44] + f[at + 48:at + 53]) == own
    if b"2" <= major <= b"9" and not sound: return 0, 0, 0, 0, 0, b""
    if major != b"1" or not sound or max(plain, stored) > 8 << 20: raise Stop("torn", at, "bad frame header")
    payload = f[at + 53:at + 53 + stored]
    if len(payload) < stored or crc32c(payload) != crc: raise Stop("torn", at, "bad payload")
    return kind, coding, number, owner, plain, payload

def tape(f, begin):
    """Yields the records of the tape that begins at an offset, and how it ends. Returns where the next one begins."""
    at, expected, chunks, records, last, now, end, foot = begin, 0, 0, 0, 0, 0, False, False
    while at < len(f):
        kind, coding, number, owner, plain, payload = frame(f, at)
        if at > begin and (kind < 2 and foot or kind == 1 and owner != own): break  # another tape begins
        if at == begin: own = owner
        elif kind < 2 or owner != own or number != expected or foot: raise Stop("torn", at, "a frame out of place")
        if kind == 0 or kind in range(5, 64) or kind < 64 and coding > 1: raise Stop("too new", at, "needs a newer reader")
        if at == begin and kind != 1: raise Stop("torn", at, "no head")
        here, at, expected = at, at + 53 + len(payload), number + 1
        if kind < 64 and coding == 1: payload = zstandard.decompress(payload, max_output_size=plain)
        if kind == 2:
            chunks += 1
            for r in msgpack.Unpacker(io.BytesIO(payload), unicode_errors="surrogateescape"):
                if r[2] < now or r[1] <= last and r[:2] != [20, 0]: raise Stop("torn", here, "a number or time goes back")
                last, now, end, records = max(last, r[1]), r[2], r[0] == 21, records + 1
                yield r[:5]
        if kind == 4:
            foot, (place, _, listed, counted) = True, msgpack.unpackb(payload)[:4]
            if [place, listed, counted] != [here - begin, chunks, records]: raise Stop("torn", here, "the foot says other")
    yield {"ending": "closed" if end and foot else "cut"}
    return at

def main(f, at=0):
    while at < len(f):
        at = yield from tape(f, at)

for name in sys.argv[1:]:
    try:
        for r in main(open(name, "rb").read()): print(json.dumps(r, default=lambda b: {"bin": b.hex()}))
    except Stop as s: print(json.dumps({"ending": s.args[0], "offset": s.args[1], "why": s.args[2]}))
