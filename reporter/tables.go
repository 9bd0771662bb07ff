package reporter

import (
	"cmp"

	"github.com/topotape/topotape/reporter/carry"
)

// maxWalk bounds the bytes of one walk; later tables and lists are ignored.
const maxWalk = 256 << 20

// A tableKey identifies a table of /proc/net: its network namespace, 0 if that is
// unknown, and its file name.
type tableKey struct {
	netns uint64
	name  string
}

// carry codes the key.
func (k *tableKey) carry(c *carry.Coder) {
	carry.Uint(c, &k.netns)
	c.String(&k.name)
}

func (k *tableKey) compare(other *tableKey) int {
	return cmp.Or(cmp.Compare(k.netns, other.netns), cmp.Compare(k.name, other.name))
}
