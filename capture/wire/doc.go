// Package wire encodes and decodes the MessagePack values of a tape.
//
// coder.go has the [Coder]: a type lists its fields once, in a method that passes
// each field to the Coder, and the Coder writes them or reads into them. That
// method is the format of the type, in both directions:
//
//	func (p *Tick) Fields(c *wire.Coder) {
//		c.Uint64(&p.Number)
//		c.Int64(&p.Interval)
//	}
//
// An object is an array of its fields. When a Coder reads an array with more
// elements than the type has fields, it skips them; when the array has fewer, it
// leaves the other fields as they are. So versions with more and with fewer fields
// read each other's objects.
//
// msgpack.go has functions for single values, for code that runs once a record:
// they append to a slice or read from one, and do not allocate.
//
// All functions accept hostile input: lengths are compared with the bytes that
// are there before memory is allocated, the lists of one object take at most
// 16 MiB, and nothing recurses on the depth of the input. Of the MessagePack
// library only calls that are safe in this sense are used; a test in tools lists
// them.
package wire
