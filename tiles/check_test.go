package tiles_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/lyinglog"
	"github.com/custodylog/custody/tiles"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// published is a log that nobody recorded, for sizes at which that would take long.
type published struct {
	lyinglog.Log
	entries [][]byte
	signer  *evidence.Signer
	policy  *evidence.Policy // asks for no witness
}

func publish(t testing.TB, size int) *published {
	t.Helper()
	skey, vkey, err := evidence.GenerateKey(lyinglog.Origin)
	must(t, err)
	p := &published{}
	p.signer, err = evidence.ParseSigner(skey)
	must(t, err)
	p.policy, err = evidence.ParsePolicy([]byte("log " + vkey + "\nquorum none\n"))
	must(t, err)
	e := evidence.Entry{Time: time.Date(2026, 11, 23, 22, 10, 0, 0, time.UTC), Type: "turn_started"}
	for i := range size {
		e.Index = uint64(i)
		p.entries = append(p.entries, evidence.AppendEntry(nil, &e))
		e.Prev = evidence.LeafHash(p.entries[i])
	}
	p.Log, err = lyinglog.Publish(p.entries, p.sign(t, size))
	must(t, err)
	return p
}

// sign returns the signed checkpoint of the first entries.
func (p *published) sign(t testing.TB, size int) []byte {
	t.Helper()
	var tree evidence.Tree
	for _, entry := range p.entries[:size] {
		tree.Append(evidence.LeafHash(entry))
	}
	signed, err := evidence.SignCheckpoint(&evidence.Checkpoint{Origin: lyinglog.Origin, Size: tree.Size(), Root: tree.Root()}, p.signer)
	must(t, err)
	return signed
}

func (p *published) check(t testing.TB, log tiles.Source, opts *tiles.CheckOptions) *tiles.Report {
	t.Helper()
	r, err := tiles.Check(t.Context(), log, p.policy, opts)
	must(t, err)
	return r
}

// findings writes each as cause, index and where.
func findings(r *tiles.Report) string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, fmt.Sprintf("%s %d %s", f.Cause, f.Index, f.Where))
	}
	return strings.Join(list, ", ")
}

// bigSize is that of a log with a full tile of level 1 and a partial one of level 2.
const bigSize = 65536 + 256 + 100

func TestCheckSizes(t *testing.T) {
	for _, size := range []int{1, 2, 255, 256, 257, 511, 512, 513, 1000} {
		p := publish(t, size)
		for _, workers := range []int{1, 3} {
			r := p.check(t, p.Log, &tiles.CheckOptions{Workers: workers})
			if !r.OK() || r.Entries != uint64(size) || r.Size != uint64(size) || !bytes.Equal(r.Checkpoint, p.Log["checkpoint"]) {
				t.Errorf("%d entries, %d workers: %+v", size, workers, r)
			}
		}
		if r := p.check(t, p.Log, nil); !r.OK() {
			t.Errorf("without options: %+v", r)
		}
	}
}

// Every file of a log counts, to the last byte.
func TestCheckReadsEveryByte(t *testing.T) {
	p := publish(t, 600)
	for path, content := range p.Log {
		if path == "checkpoint" {
			continue
		}
		for what, change := range map[string]func([]byte) []byte{
			"its first byte":   func(b []byte) []byte { b[0] ^= 1; return b },
			"its last byte":    func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"a byte less":      func(b []byte) []byte { return b[:len(b)-1] },
			"a byte more":      func(b []byte) []byte { return append(b, 0) },
			"twice the bytes":  func(b []byte) []byte { return append(b, b...) },
			"no bytes":         func([]byte) []byte { return []byte{} },
			"it is not served": func([]byte) []byte { return nil },
		} {
			log := maps.Clone(p.Log)
			if log[path] = change(bytes.Clone(content)); log[path] == nil {
				delete(log, path)
			}
			if path == "tile/entries/000" && log[path] == nil {
				continue // that is what pruning looks like
			}
			if r := p.check(t, log, nil); r.OK() {
				t.Errorf("%s, %s: nothing is found", path, what)
			}
		}
	}
}

// Of two entries with the wrong time, one after the other, and of bad bundles far
// apart, each is found.
func TestCheckFindsAll(t *testing.T) {
	p := publish(t, 1500)
	log := maps.Clone(p.Log)
	flip := func(path string, at int) {
		log[path] = bytes.Clone(log[path])
		log[path][at] ^= 1
	}
	width := len(log["tile/entries/005.p/220"]) / 220 // entries from 1000 on have one length
	flip("tile/entries/005.p/220", 7*width+30)        // in the commitment
	flip("tile/entries/005.p/220", 219*width+30)      // in the last one
	flip("tile/0/002", 32*9)
	log["tile/entries/003"] = append(bytes.Clone(log["tile/entries/003"]), 7)
	delete(log, "tile/entries/001")
	want := "deleted 256 tile/entries/001, altered 521 tile/0/002, altered 1023 tile/entries/003, altered 1287 tile/entries/005.p/220, altered 1499 tile/entries/005.p/220"
	if got := findings(p.check(t, log, nil)); got != want {
		t.Errorf("it finds\n%s\nnot\n%s", got, want)
	}
}

// What is wrong is told as exactly as it can be, and nothing is accused beside it.
func TestCheckTellsWhich(t *testing.T) {
	edit := func(p *published, index int, change func(*evidence.Entry)) [][]byte {
		entries := slices.Clone(p.entries)
		e, err := evidence.ParseEntry(entries[index])
		must(t, err)
		change(&e)
		entries[index] = evidence.AppendEntry(nil, &e)
		return entries
	}
	other := func(e *evidence.Entry) { e.Payload[0] ^= 1 }
	for _, tt := range []struct {
		name   string
		size   int
		change func(p *published, log lyinglog.Log)
		since  int
		want   string
	}{
		{"the entry before the last", 600, func(p *published, log lyinglog.Log) {
			log["tile/entries/002.p/88"] = publishedBundle(t, edit(p, 598, other)[512:])
		}, 0, "altered 598 tile/entries/002.p/88"},
		{"an entry put in, and the last one altered", 600, func(p *published, log lyinglog.Log) {
			log["tile/entries/001"] = publishedBundle(t, slices.Insert(slices.Clone(p.entries[256:512]), 44, edit(p, 300, other)[300]))
			log["tile/entries/002.p/88"] = publishedBundle(t, edit(p, 599, other)[512:])
		}, 0, "inserted 300 tile/entries/001, altered 599 tile/entries/002.p/88"},
		{"the last entry and its tile", 512, func(p *published, log lyinglog.Log) {
			forged, err := lyinglog.Publish(edit(p, 511, other), nil)
			must(t, err)
			log["tile/entries/001"], log["tile/0/001"] = forged["tile/entries/001"], forged["tile/0/001"]
		}, 512, "altered 256 tile/0/001, altered 256 tile/entries/001"},
		{"an old entry, signed, and bytes behind it", 300, func(p *published, log lyinglog.Log) {
			p.entries = edit(p, 299, func(e *evidence.Entry) { e.Time = e.Time.Add(-time.Second) })
			signed, err := lyinglog.Publish(p.entries, p.sign(t, 300))
			must(t, err)
			maps.Copy(log, signed)
			log["tile/entries/001.p/44"] = append(log["tile/entries/001.p/44"], 0)
		}, 0, "time_reversed 299 tile/entries/001.p/44, altered 299 tile/entries/001.p/44"},
	} {
		p := publish(t, tt.size)
		log, opts := maps.Clone(p.Log), new(tiles.CheckOptions)
		if tt.since > 0 {
			opts.Since = p.sign(t, tt.since)
		}
		tt.change(p, log)
		r := p.check(t, log, opts)
		if got := findings(r); got != tt.want {
			t.Errorf("%s: it finds\n%s\nnot\n%s", tt.name, got, tt.want)
		}
		if f := r.Findings[0]; tt.name == "the entry before the last" && f.Count != 1 {
			t.Errorf("%s: %v", tt.name, f)
		}
	}
}

func publishedBundle(t testing.TB, entries [][]byte) (b []byte) {
	t.Helper()
	for _, entry := range entries {
		var err error
		b, err = evidence.AppendToBundle(b, entry)
		must(t, err)
	}
	return b
}

func TestCheckUpperLevels(t *testing.T) {
	p := publish(t, bigSize)
	if r := p.check(t, p.Log, nil); !r.OK() || r.Entries != bigSize {
		t.Fatalf("%+v", r)
	}
	altered := func(log lyinglog.Log) {
		e, err := evidence.ParseEntry(p.entries[70])
		must(t, err)
		e.Payload[0] ^= 1
		log["tile/entries/000"] = bytes.Replace(log["tile/entries/000"], p.entries[70], evidence.AppendEntry(nil, &e), 1)
	}
	flip := func(log lyinglog.Log, path string, at int) {
		log[path] = bytes.Clone(log[path])
		log[path][at] ^= 1
	}
	for _, tt := range []struct {
		name   string
		change func(lyinglog.Log)
		want   string
	}{
		{"a full tile of level 1", func(log lyinglog.Log) { flip(log, "tile/1/000", 32*3) }, "altered 768 tile/1/000"},
		{"a full tile of level 1 is not there", func(log lyinglog.Log) { delete(log, "tile/1/000") }, "deleted 0 tile/1/000"},
		{"a partial tile of level 1", func(log lyinglog.Log) { flip(log, "tile/1/001.p/1", 5) }, "altered 65536 tile/1/001.p/1"},
		{"the tile of level 2", func(log lyinglog.Log) { flip(log, "tile/2/000.p/1", 5) }, "altered 0 tile/2/000.p/1"},
		{"the tile of level 2 is not there", func(log lyinglog.Log) { delete(log, "tile/2/000.p/1") }, "deleted 0 tile/2/000.p/1"},
		{"tiles of all levels", func(log lyinglog.Log) {
			flip(log, "tile/2/000.p/1", 5)
			flip(log, "tile/1/000", 32*3)
			flip(log, "tile/0/007", 32*3)
		}, "altered 0 tile/2/000.p/1, altered 768 tile/1/000, altered 1795 tile/0/007"},
		{"tiles of level 0 are not there", func(log lyinglog.Log) {
			for _, n := range []string{"004", "005", "006", "009"} {
				delete(log, "tile/0/"+n)
			}
		}, "deleted 1024 tile/0/004, deleted 2304 tile/0/009"},
		{"an entry", altered, "altered 70 tile/entries/000"},
		{"an entry, and the tile that vouches for its tile", func(log lyinglog.Log) {
			altered(log)
			flip(log, "tile/1/000", 32*3)
		}, "altered 0 tile/1/000, altered 70 tile/0/000, altered 70 tile/entries/000"}, // nothing vouches for the tile of level 0
	} {
		log := maps.Clone(p.Log)
		tt.change(log)
		if got := findings(p.check(t, log, nil)); got != tt.want {
			t.Errorf("%s: it finds\n%s\nnot\n%s", tt.name, got, tt.want)
		}
	}
}

// prune takes away what a log with that minimum index need not serve: all of it, or
// only bundles and tiles of level 0, as this program's logs do.
func prune(log lyinglog.Log, minimum uint64, all bool) lyinglog.Log {
	log = maps.Clone(log)
	for path := range log {
		t, err := evidence.ParseTile(path)
		level := max(t.Level, 0)
		if err == nil && t.Width == evidence.TileWidth && (all || level == 0) && (t.Index+1)<<(8*(level+1)) <= minimum {
			delete(log, path)
		}
	}
	return log
}

func TestCheckPruned(t *testing.T) {
	p := publish(t, bigSize)
	last := p.sign(t, bigSize-1)
	for _, minimum := range []uint64{256, 512, 65536 - 256, 65536, 65536 + 256} {
		for _, all := range []bool{false, true} {
			log := prune(p.Log, minimum, all)
			for _, opts := range []*tiles.CheckOptions{{}, {Since: p.sign(t, int(minimum))}, {Since: last}, {From: 200}, {From: minimum + 40}, {From: minimum, Since: last}} {
				from := opts.From &^ 255
				want := max(minimum, from)
				r := p.check(t, log, opts)
				if !r.OK() || r.Minimum != want || r.Pruned != want-from || r.Entries != bigSize-want {
					t.Errorf("from %d, all %t, %+v: minimum %d, pruned %d, %d entries, %s", minimum, all, opts, r.Minimum, r.Pruned, r.Entries, findings(r))
				}
			}
			if got := findings(p.check(t, log, &tiles.CheckOptions{Since: p.sign(t, 100)})); got != "unreadable 100 checkpoint" {
				t.Errorf("from %d: since a pruned entry: %s", minimum, got)
			}
		}
	}
	// The tiles have to vouch for what was pruned.
	log := prune(p.Log, 65536, false)
	log["tile/2/000.p/1"] = make([]byte, 32)
	if r := p.check(t, log, nil); findings(r) != "altered 65536 checkpoint" {
		t.Errorf("the tile over what was pruned is another one: %s", findings(r))
	}
	delete(log, "tile/2/000.p/1")
	for _, opts := range []*tiles.CheckOptions{{}, {Since: last}} {
		if r := p.check(t, log, opts); findings(r) != "deleted 0 tile/2/000.p/1, altered 65536 checkpoint" {
			t.Errorf("the tile over what was pruned is not there: %s", findings(r))
		}
	}
	// What is gone behind the first bundle that is there was not pruned.
	log = prune(p.Log, 512, false)
	delete(log, "tile/entries/200")
	if r := p.check(t, log, nil); findings(r) != "deleted 51200 tile/entries/200" {
		t.Errorf("a hole in a pruned log: %s", findings(r))
	}
}

// A log that grows deletes partial tiles when the full ones are there.
func TestCheckTakesFullTiles(t *testing.T) {
	p := publish(t, 800)
	log := maps.Clone(p.Log)
	log["checkpoint"] = p.sign(t, 600)
	log["tile/1/000.p/2"] = log["tile/1/000.p/3"][:64]
	if r := p.check(t, log, nil); !r.OK() || r.Entries != 600 {
		t.Errorf("%d entries: %s", r.Entries, findings(r))
	}
	for path, at := range map[string]int{"tile/0/002": 32 * 20, "tile/entries/002": 30} {
		bad := maps.Clone(log)
		bad[path] = bytes.Clone(bad[path])
		bad[path][at] ^= 1
		if r := p.check(t, bad, nil); r.OK() || r.Findings[0].Where != path && r.Findings[0].Where != "tile/entries/002.p/88" {
			t.Errorf("%s: %s", path, findings(r))
		}
		bad[path] = bad[path][:len(bad[path])-1]
		if r := p.check(t, bad, nil); r.OK() {
			t.Errorf("%s is cut short: nothing is found", path)
		}
	}
}

func TestCheckProgress(t *testing.T) {
	p := publish(t, 600)
	var steps []uint64
	p.check(t, p.Log, &tiles.CheckOptions{From: 256, Progress: func(done, total uint64) { steps = append(steps, done, total) }})
	if !slices.Equal(steps, []uint64{256, 344, 344, 344}) {
		t.Errorf("%v", steps)
	}
}

// failing is a source that fails at one path.
type failing struct {
	lyinglog.Log
	path string
	err  error
}

func (f failing) Fetch(ctx context.Context, path string) ([]byte, error) {
	if path == f.path {
		return nil, f.err
	}
	return f.Log.Fetch(ctx, path)
}

// What cannot be fetched is an error, and no finding.
func TestCheckErrors(t *testing.T) {
	p := publish(t, 600)
	broken := errors.New("the line is cut")
	for path := range p.Log {
		if r, err := tiles.Check(t.Context(), failing{p.Log, path, broken}, p.policy, nil); !errors.Is(err, broken) || r != nil {
			t.Errorf("%s cannot be fetched: %v, %v", path, r, err)
		}
		r := p.check(t, failing{p.Log, path, tiles.ErrTooLarge}, nil)
		if r.OK() || r.Findings[0].Where != path || r.Findings[0].Cause != evidence.Altered {
			t.Errorf("%s is too large: %s", path, findings(r))
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	stranger := publish(t, 300)
	skey, vkey, err := evidence.GenerateKey("example.org/elsewhere")
	must(t, err)
	signer, err := evidence.ParseSigner(skey)
	must(t, err)
	elsewhere, err := evidence.SignCheckpoint(&evidence.Checkpoint{Origin: signer.Name(), Size: 5}, signer)
	must(t, err)
	both, err := evidence.ParsePolicy([]byte("log " + vkey + "\nlog " + p.signer.VerifierKey() + "\nquorum none\n"))
	must(t, err)
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		log    lyinglog.Log
		policy *evidence.Policy
		opts   *tiles.CheckOptions
		want   string
	}{
		{"no log", t.Context(), lyinglog.Log{}, p.policy, nil, "file does not exist"},
		{"no policy", t.Context(), p.Log, nil, nil, "policy"},
		{"no time", canceled, p.Log, p.policy, nil, context.Canceled.Error()},
		{"from behind the end", t.Context(), p.Log, p.policy, &tiles.CheckOptions{From: 601}, "begins at entry 601"},
		{"since before what is read", t.Context(), p.Log, p.policy, &tiles.CheckOptions{From: 300, Since: p.sign(t, 200)}, "begin at entry 200 or before"},
		{"since another key", t.Context(), p.Log, p.policy, &tiles.CheckOptions{Since: stranger.Log["checkpoint"]}, "no verifiable signatures"},
		{"since another log", t.Context(), p.Log, p.policy, &tiles.CheckOptions{Since: elsewhere}, "no log named"},
		{"since another known log", t.Context(), p.Log, both, &tiles.CheckOptions{Since: elsewhere}, "and this is"},
		{"since nothing", t.Context(), p.Log, p.policy, &tiles.CheckOptions{Since: []byte{}}, "the earlier checkpoint"},
	} {
		if r, err := tiles.Check(tt.ctx, tt.log, tt.policy, tt.opts); err == nil || r != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, r, err, tt.want)
		}
	}
	if _, err := tiles.Check(t.Context(), lyinglog.Log{}, p.policy, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
}

// A check goes on where an earlier one ended, whether the log has grown or not.
func TestCheckGoesOn(t *testing.T) {
	for _, size := range []int{512, 600, 768} {
		p := publish(t, size)
		for _, before := range []int{300, 512, size} {
			if before > size {
				continue
			}
			from := min(uint64(before)/256, uint64(size-1)/256) * 256
			r := p.check(t, p.Log, &tiles.CheckOptions{From: uint64(before), Since: p.sign(t, before)})
			if !r.OK() || r.Minimum != from || r.Entries != uint64(size)-from || r.Pruned != 0 {
				t.Errorf("from %d to %d: %d entries from %d, %s", before, size, r.Entries, r.Minimum, findings(r))
			}
			p.entries[before-1], p.entries[0] = p.entries[0], p.entries[before-1]
			other := p.sign(t, before)
			p.entries[before-1], p.entries[0] = p.entries[0], p.entries[before-1]
			if r := p.check(t, p.Log, &tiles.CheckOptions{From: uint64(before), Since: other}); findings(r) != "forked 0 checkpoint" {
				t.Errorf("from %d to %d, since another history: %s", before, size, findings(r))
			}
		}
	}
}

// A log that is smaller than what is to be read, and than what was seen of it, was
// rolled back.
func TestCheckRolledBack(t *testing.T) {
	p := publish(t, 600)
	older, err := lyinglog.Publish(p.entries[:300], p.sign(t, 300))
	must(t, err)
	if r := p.check(t, older, &tiles.CheckOptions{From: 600, Since: p.Log["checkpoint"]}); findings(r) != "rolled_back 300 checkpoint" {
		t.Errorf("%s", findings(r))
	}
}

// FuzzCheck changes one file of a small log. Only what is as it was may pass.
func FuzzCheck(f *testing.F) {
	p := publish(f, 300)
	paths := slices.Sorted(maps.Keys(p.Log))
	for i, path := range paths {
		f.Add(uint8(i), p.Log[path])
		f.Add(uint8(i), p.Log[path][:len(p.Log[path])/2])
		f.Add(uint8(i), []byte{})
	}
	f.Add(uint8(0), []byte(lyinglog.Origin+"\n9223372036854775807\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"))
	honest, err := evidence.PeekCheckpoint(p.Log["checkpoint"])
	must(f, err)
	f.Fuzz(func(t *testing.T, which uint8, content []byte) {
		path := paths[int(which)%len(paths)]
		log := maps.Clone(p.Log)
		log[path] = content
		r, err := tiles.Check(t.Context(), log, p.policy, nil)
		switch {
		case err != nil:
			t.Fatalf("%s: %v", path, err) // everything can be fetched
		case path == "checkpoint" && r.OK() && (r.Size != honest.Size || r.Root != honest.Root):
			t.Fatalf("another checkpoint passes: %q", content)
		case path != "checkpoint" && r.OK() != bytes.Equal(content, p.Log[path]):
			t.Fatalf("%s, %d bytes, ok is %t: %s", path, len(content), r.OK(), findings(r))
		}
	})
}
