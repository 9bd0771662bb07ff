package source

import (
	"cmp"

	"github.com/topotape/topotape/reporter/carry"
)

// A TableKey identifies a table of /proc/net: its network namespace, 0 if that is
// unknown, and its file name.
type TableKey struct {
	Netns uint64
	Name  string
}

// Carry codes the key.
func (k *TableKey) Carry(c *carry.Coder) {
	carry.Uint(c, &k.Netns)
	c.String(&k.Name)
}

// Compare orders keys by namespace, then by name.
func (k TableKey) Compare(other TableKey) int {
	return cmp.Or(cmp.Compare(k.Netns, other.Netns), cmp.Compare(k.Name, other.Name))
}
