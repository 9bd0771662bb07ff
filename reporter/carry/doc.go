/*
Package carry writes and reads the core's state as a carry record holds it: a
plain run of values, without names or tags, that only the code that wrote it can
read.

One function describes each type and serves both directions. It shows a Coder
its fields one after the other; the Coder writes them, or reads into them:

	func (s *stamp) carry(c *carry.Coder) {
		carry.Int(c, &s.at)
		carry.Uint(c, &s.seq)
	}

Numbers are varints, signed ones in zigzag. Strings, lists and addresses stand
behind their length.

# What is read is not trusted

A carry record may have been made by anybody. A Coder that reads never reserves
more memory than a small multiple of the bytes that are there, never reads beyond
them, and never panics. After the first value that cannot be, it reads zeroes,
and Err says so at the end; whoever describes a type checks with Check what the rest of the code counts
on, as that an index is in range or that a pointer is set.
*/
package carry
