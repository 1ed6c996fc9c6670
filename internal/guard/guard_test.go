package guard

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

func checkpoint(t testing.TB, size uint64) []byte {
	t.Helper()
	skey, _, err := evidence.GenerateKey("example.org/agents")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := evidence.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := evidence.SignCheckpoint(&evidence.Checkpoint{Origin: "example.org/agents", Size: size}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestKeep: what was kept is read back at once, and after a second it is durable.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfstest.NewMem()
		var problem error
		g, _, err := Open(disk, "keys/last", func(err error) { problem = err })
		if err != nil {
			t.Fatal(err)
		}
		if last, err := Read(disk, "keys/last"); last != nil || err != nil {
			t.Errorf("nothing was kept, and %q is there (%v)", last, err)
		}
		for size := uint64(1); size < 9; size++ {
			signed := checkpoint(t, size)
			g.Keep(signed)
			if last, err := Read(disk, "keys/last"); !bytes.Equal(last, signed) {
				t.Errorf("kept size %d: %q (%v)", size, last, err)
			}
			time.Sleep(syncEvery + time.Millisecond) // the bubble's clock
			synctest.Wait()
			for range 20 {
				crashed := disk.CrashClone(rand.New(rand.NewPCG(1, size)))
				if last, err := Read(crashed, "keys/last"); !bytes.Equal(last, signed) {
					t.Fatalf("after a loss of power, size %d: %q (%v)", size, last, err)
				}
			}
		}
		if err := g.Close(); err != nil || problem != nil || g.Err() != nil {
			t.Error(err, problem, g.Err())
		}
		g.Keep(checkpoint(t, 99)) // closed: nothing happens
	})
}

func TestTooLarge(t *testing.T) {
	var problem error
	g, _, err := Open(vfstest.NewMem(), "last", func(err error) { problem = err })
	if err != nil {
		t.Fatal(err)
	}
	g.Keep(make([]byte, slotSize))
	if problem == nil || g.Err() == nil || g.Close() == nil {
		t.Error("it is not said")
	}
	if err := Replace(vfstest.NewMem(), "last", make([]byte, slotSize)); err == nil {
		t.Error("replaced")
	}
}

func TestDamaged(t *testing.T) {
	name := filepath.Join(t.TempDir(), "last")
	old, recent := checkpoint(t, 5), checkpoint(t, 7)
	write := func(change func([]byte) []byte) ([]byte, error) {
		if err := Replace(vfs.OS{}, name, old); err != nil {
			t.Fatal(err)
		}
		g, _, err := Open(vfs.OS{}, name, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		g.Keep(recent)
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := parse(name, change(b))
		return got, err
	}
	tear := func(slots ...int) func([]byte) []byte {
		return func(b []byte) []byte {
			for _, s := range slots {
				b[slotAt+s*slotSize+9]++
			}
			return b
		}
	}
	for what, c := range map[string]struct {
		change func([]byte) []byte
		want   []byte
	}{
		"as written":        {tear(), recent},
		"the hot slot torn": {tear(0), recent},
		"a durable one":     {tear(1), recent},
		"empty":             {func([]byte) []byte { return nil }, nil},
		"zeros":             {func(b []byte) []byte { return make([]byte, len(b)) }, nil},
		"its end is gone":   {func(b []byte) []byte { return b[:slotAt+slotSize] }, recent},
		"only the header":   {func(b []byte) []byte { return b[:slotAt] }, nil},
	} {
		if got, err := write(c.change); err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %q (%v), want %q", what, got, err, c.want)
		}
	}
	for what, change := range map[string]func([]byte) []byte{
		"all slots torn":  tear(0, 1),
		"another version": func(b []byte) []byte { b[15]++; return b },
	} {
		if got, err := write(change); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	name := filepath.Join(f.TempDir(), "last")
	if err := Replace(vfs.OS{}, name, checkpoint(f, 3)); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		last, _, err := parse("last", b)
		if last == nil {
			return
		}
		if _, perr := evidence.PeekCheckpoint(last); err != nil || perr != nil {
			t.Error(err, perr)
		}
	})
}
