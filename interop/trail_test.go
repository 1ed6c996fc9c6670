package interop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/retention"
	"github.com/custodylog/custody/tiles"
)

// sizes are those at which bundles, tiles and segments begin and end, and two in one
// tile; and a large one.
var sizes = []uint64{1, 255, 256, 257, 65_535, 65_536, 65_537, 65_600, 1_000_000}

// TestSizes has a growing trail judged at each size. Its export is brought up to date
// from one to the next. At the end whoever has an older checkpoint can still read the
// log by it.
func TestSizes(t *testing.T) {
	s, trail := newTrail(t)
	dir := t.TempDir()
	var leaves [][]byte
	var older [][]byte
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			grow(t, trail, size)
			p := publish(t, trail, dir)
			wantJudged(t, p)
			leaves = leafHashes(t, trail, leaves)
			wantProved(t, s, trail, p, leaves)
			older = append(older, get(os.ReadFile(filepath.Join(dir, "checkpoint")))(t))
		})
	}
	if t.Failed() {
		return
	}
	p := publish(t, trail, dir)
	for _, signed := range older[:len(older)-1] {
		p.checkpoint = get(evidence.PeekCheckpoint(signed))(t)
		t.Run(fmt.Sprintf("%d of %d", p.checkpoint.Size, trail.Size()), func(t *testing.T) {
			checkpoint := filepath.Join(dir, "checkpoint")
			newest := get(os.ReadFile(checkpoint))(t)
			must(t, os.WriteFile(checkpoint, signed, 0o644))
			defer func() { must(t, os.WriteFile(checkpoint, newest, 0o644)) }()
			p.url = serveAt(t, trail, signed)
			wantJudged(t, p)
		})
	}
}

// serveAt serves a trail as it was at an older checkpoint.
func serveAt(t *testing.T, trail *custody.Trail, signed []byte) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", tiles.NewHandler(trail, logger(t)))
	mux.HandleFunc("/checkpoint", func(w http.ResponseWriter, _ *http.Request) { w.Write(signed) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// TestErased: entries stay when payloads go.
func TestErased(t *testing.T) {
	s, trail := newTrail(t)
	grow(t, trail, 600)
	before := publish(t, trail, t.TempDir())
	get(trail.Erase(t.Context(), custody.Erasure{Query: custody.Query{SessionID: "s3"}, Ground: "GDPR Art. 17(1)(b)", By: "operations"}))(t)
	if e := get(trail.Entry(t.Context(), 4))(t); e.Payload != nil {
		t.Fatal("the payload is there")
	}
	p := publish(t, trail, before.dir)
	wantJudged(t, p)
	wantProved(t, s, trail, p, leafHashes(t, trail, nil))
}

// TestLargestEntries: the name of its type is all that makes an entry larger, so none
// comes near the 65,535 bytes that a bundle can hold.
func TestLargestEntries(t *testing.T) {
	s, trail := newTrail(t)
	batch := make([]event.Event, 599)
	for i := range batch {
		batch[i].Type = event.Type(strings.Repeat("x", evidence.MaxTypeLen))
	}
	get(trail.RecordBatch(t.Context(), batch))(t)
	e := get(trail.Entry(t.Context(), 599))(t)
	if n := len(e.Envelope); n < evidence.MaxTypeLen || n > 512 {
		t.Errorf("an entry has %d bytes: %s", n, e.Envelope)
	}
	p := publish(t, trail, t.TempDir())
	wantJudged(t, p)
	wantProved(t, s, trail, p, leafHashes(t, trail, nil))
}

// TestRotatedKey: a log that goes on under another key is one under that key. Key and
// checkpoint have the same name, so the old key says nothing any more.
func TestRotatedKey(t *testing.T) {
	s, trail := newTrail(t)
	grow(t, trail, 300)
	old := trail.VerifierKey()
	next, _, err := custody.NewKey(s.keys, origin)
	must(t, err)
	get(trail.RotateKey(t.Context(), next.Key(), "operations", "test"))(t)
	grow(t, trail, 400)
	p := publish(t, trail, t.TempDir())
	wantJudged(t, p)
	wantProved(t, s, trail, p, leafHashes(t, trail, nil))
	p.vkey = old
	for _, j := range judges {
		if _, err := j.check(t.Context(), p); err == nil {
			t.Errorf("%s takes the old key", j.name)
		}
	}
}

// TestPruned: a pruned log can be read from its minimum index on. Its entries were
// recorded in a bubble, whose clock begins in the year 2000, so by now they have
// outlived a period.
func TestPruned(t *testing.T) {
	s := store{filepath.Join(t.TempDir(), "trail"), t.TempDir()}
	synctest.Test(t, func(t *testing.T) {
		get(custody.Create(s.dir, custody.CreateOptions{Origin: origin, KeyDir: s.keys}))(t)
		grow(t, s.open(t), 65_536+600)
	})
	trail := s.open(t)
	leaves := leafHashes(t, trail, nil)
	policy := retention.Policy{Name: "test", Payloads: retention.Period{Days: 10}, Entries: retention.Period{Days: 20}}
	run := get(trail.ApplyRetention(t.Context(), policy, "operations"))(t)
	if trail.First() != 65_536 {
		t.Fatalf("the trail begins at %d: %s", trail.First(), run.Kept)
	}
	grow(t, trail, trail.Size()+300)
	p := publish(t, trail, t.TempDir())
	wantJudged(t, p)
	wantProved(t, s, trail, p, leafHashes(t, trail, leaves))
}
