package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// packed writes a file of n bytes, compressed. Of every period bytes one is random, and
// the others are zero.
func packed(t *testing.T, format string, n, period int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x."+format)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var w io.WriteCloser = gzip.NewWriter(f)
	if format == "zst" {
		if w, err = zstd.NewWriter(f, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	block := make([]byte, 1<<16)
	for ; n > 0; n -= len(block) {
		block = block[:min(n, len(block))]
		for i := 0; i < len(block); i += period {
			block[i] = byte(random.Uint32())
		}
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDecompressionIsBounded(t *testing.T) {
	for _, c := range []struct {
		format    string
		n, period int
		want      string
	}{
		{"gz", 64 << 20, 1 << 20, ""},
		{"zst", 64 << 20, 1 << 20, ""},
		{"gz", 64<<20 + 1, 1 << 20, "KiB of it decompress to more than 64.0 MiB, 256 times as much"},
		{"zst", 64<<20 + 1, 1 << 20, "KiB of it decompress to more than 64.0 MiB, 256 times as much"},
		{"gz", 80 << 20, 200, ""}, // less than a tenth of maxRatio
		{"zst", 80 << 20, 200, ""},
	} {
		name := packed(t, c.format, c.n, c.period)
		in, cut, err := openEvidence(name)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), name+": ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d bytes of %s: error %v", c.n, c.format, err)
			}
			continue
		}
		if err != nil || cut != nil || in.Size != int64(c.n) {
			t.Errorf("%d bytes of %s: %d bytes, cut %v, error %v", c.n, c.format, in.Size, cut, err)
		}
	}
}

// However long the input is, no more is read of it than the limit.
func TestDecompressionStopsAtItsLimit(t *testing.T) {
	packed := &counter{from: bytes.NewReader(make([]byte, 1000))}
	f := &inflated{from: zeros{}, packed: packed}
	n, err := io.Copy(io.Discard, f)
	if err == nil || n > freeSize+1<<20 {
		t.Errorf("%d bytes, error %v", n, err)
	}
	if _, err := io.Copy(io.Discard, packed); err != nil || packed.size != 1000 {
		t.Errorf("%d bytes, error %v", packed.size, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
