package index

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
)

// goldenMemory is the same every time.
func goldenMemory(n int) *Memory {
	m := NewMemory()
	for i := range n {
		typ := []string{"action_requested", "action_denied", "x"}[i%3]
		m.Add(1_700_000_000_000_000+int64(i)*1_000_000, typ, []key{
			storage.KeyOf(1, fmt.Sprint("id ", i)),
			storage.KeyOf(2, typ),
			storage.KeyOf(3, fmt.Sprint("agent ", i%10)),
			storage.KeyOf(4, fmt.Sprint("action ", i/3)),
		})
	}
	return m
}

// TestGoldenIndex: the same entries give the same file, byte by byte. An index is
// derived, so what an earlier version wrote may be built anew; but a change that
// was not meant, of a key or the filter, would make every index of the past miss
// what is there.
func TestGoldenIndex(t *testing.T) {
	for _, tt := range []struct {
		n    int
		size int
		want string
	}{
		{0, 143360, "d930eef7d33983793991bfc6227a9e3177f4483cefedefd294fcc7aabceb90aa"},
		{5, 155648, "5bef6a7328bd6e64c7aea8c43400bfd7d5505fd6c6d9451f2c50abb42da4df97"},
		{5000, 237568, "641e2d72f4a20d5024b7e607d22f54b3de7d2860c3fabfcbb17c11ea94c62728"},
	} {
		b := goldenMemory(tt.n).Seal(65536, evidence.LeafHash([]byte("a root")))
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != tt.want || len(b) != tt.size {
			t.Errorf("%d entries: %d bytes with SHA-256 %s, want %d with %s", tt.n, len(b), got, tt.size, tt.want)
		}
	}
}
