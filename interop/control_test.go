package interop

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
)

// TestDamaged: each judge rejects a log that is not what its checkpoint says, so what
// they say of the others is worth something.
func TestDamaged(t *testing.T) {
	s, trail := newTrail(t)
	grow(t, trail, 600)
	forked := s.copyOf(t).open(t)
	for _, branch := range []*custody.Trail{trail, forked} {
		grow(t, branch, 700) // two bundles and a part
	}
	fork := get(forked.Checkpoint(t.Context()))(t)
	sound := publish(t, trail, t.TempDir())
	signer := s.signer(t, trail)
	signed := func(size uint64, root evidence.Hash) []byte {
		return get(evidence.SignCheckpoint(&evidence.Checkpoint{Origin: origin, Size: size, Root: root}, signer))(t)
	}
	replacedBy := func(content []byte) func([]byte) []byte { return func([]byte) []byte { return content } }
	flipped := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			b[at] ^= 1
			return b
		}
	}
	followedBy := func(more string) func([]byte) []byte {
		return func(b []byte) []byte { return append(b, more...) }
	}
	for name, c := range map[string]struct {
		file    string
		damage  func([]byte) []byte // nil: it is removed
		unfound string              // judges that do not look at it: how their names begin
	}{
		"a byte of an entry":                    {"tile/entries/001", flipped(100), ""},
		"a byte of an entry of the last bundle": {"tile/entries/002.p/188", flipped(100), ""},
		"a length in a bundle":                  {"tile/entries/000", flipped(1), ""},
		"a byte behind a bundle":                {"tile/entries/001", followedBy("\x00"), ""},
		"bytes behind the last bundle":          {"tile/entries/002.p/188", followedBy("more"), ""},
		// fsck takes as many entries of a bundle as there have to be, and leaves others.
		"an entry behind a bundle":          {"tile/entries/001", followedBy("\x00\x04more"), "fsck"},
		"an entry behind the last bundle":   {"tile/entries/002.p/188", followedBy("\x00\x04more"), "fsck"},
		"no bundle":                         {"tile/entries/001", nil, ""},
		"a hash in a tile":                  {"tile/0/001", flipped(100), ""},
		"a hash in the last tile":           {"tile/0/002.p/188", flipped(100), ""},
		"a hash in the tile above":          {"tile/1/000.p/2", flipped(40), ""},
		"bytes behind a tile":               {"tile/0/001", followedBy("more"), ""},
		"no tile":                           {"tile/0/001", nil, ""},
		"the checkpoint of a fork":          {"checkpoint", replacedBy(fork), ""},
		"another root":                      {"checkpoint", replacedBy(signed(700, evidence.Hash{1})), ""},
		"the root of another size":          {"checkpoint", replacedBy(signed(512, evidence.Hash{1})), ""},
		"a size that is more than there is": {"checkpoint", replacedBy(signed(701, evidence.Hash{1})), ""},
		"a byte of the checkpoint":          {"checkpoint", flipped(len(origin) + 1), ""},
		"no checkpoint":                     {"checkpoint", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := *sound
			damaged.dir = t.TempDir()
			must(t, os.CopyFS(damaged.dir, os.DirFS(sound.dir)))
			server := httptest.NewServer(http.FileServer(http.Dir(damaged.dir)))
			defer server.Close()
			damaged.url = server.URL
			wantJudged(t, &damaged) // not yet
			file := filepath.Join(damaged.dir, c.file)
			content := get(os.ReadFile(file))(t)
			must(t, os.Remove(file))
			if c.damage != nil {
				must(t, os.WriteFile(file, c.damage(content), 0o644))
			}
			for _, j := range judges {
				_, err := j.check(t.Context(), &damaged)
				if unfound := c.unfound != "" && strings.HasPrefix(j.name, c.unfound); (err == nil) != unfound {
					t.Errorf("%s finds %v", j.name, err)
				}
			}
		})
	}
}
