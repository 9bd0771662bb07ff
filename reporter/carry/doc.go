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

A carry record may be hostile. A Coder that reads never allocates more than a small
multiple of the bytes that are left, never reads beyond them, and never panics. After
the first impossible value it reads zeroes, and Err returns an error at the end. A
type's function calls Check for everything that other code relies on: that an index is
in range, for example, or that an address is valid.
*/
package carry
