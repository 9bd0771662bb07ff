/*
Package carry writes and reads the core's state in the form of a carry record: a
plain sequence of values, without names or tags. Only the code that wrote it can
read it.

One function for each type serves both directions. It passes the fields to a
Coder in order; the Coder writes them, or reads into them:

	func (s *stamp) carry(c *carry.Coder) {
		carry.Int(c, &s.at)
		carry.Uint(c, &s.seq)
	}

Numbers are varints, signed ones in zigzag. The length precedes strings and lists,
a kind precedes addresses.

# Input is not trusted

A carry record may be hostile. A State is kept compressed, in parts. A Coder that reads
has one part in memory, lets a list grow with the items that it reads, never reads beyond
the last part, and never panics. After the first impossible value it reads zeroes, and
Err returns an error at the end. A type's function calls Check for everything that other
code relies on: that an index is in range, for example, that an address is valid, or that
a list is not longer than the machine lets it become.
*/
package carry
