package packed

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Bytes of any length come back as they were, and repeated ones take little memory.
func TestPack(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{1})
	var p Packer
	for _, n := range []int{0, 1, least - 1, least, 100_000, 1 << 20} {
		random := make([]byte, n)
		if _, err := rng.Read(random); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{"random": random, "repeated": bytes.Repeat([]byte("abc "), n/4)} {
			kept := p.Pack(b)
			want := bytes.Clone(b)
			clear(b) // the copy does not depend on it
			got := p.Append([]byte("before"), kept)
			if !bytes.Equal(got, append([]byte("before"), want...)) || kept.Len() != len(want) || !kept.Equal(p.Pack(want)) {
				t.Errorf("%d %s bytes come back as %d", n, name, len(got))
			}
			if kept.Size() > len(want) || name == "repeated" && n >= 100_000 && kept.Size() > n/100 {
				t.Errorf("%d %s bytes take %d", n, name, kept.Size())
			}
		}
	}
}
