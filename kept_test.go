package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/tsatest"
)

func TestKeptCheckpoints(t *testing.T) {
	tsa := httptest.NewServer(tsatest.New(t, tsatest.Options{}))
	defer tsa.Close()
	trail := newTrail(t, Options{})
	kept := get(trail.KeptCheckpoints(t.Context(), 0))(t)
	if len(kept) != 1 || kept[0].Size != 1 || kept[0].Root != get(trail.Stats(t.Context()))(t).Checkpoint.Root || len(kept[0].KeyIDs) != 1 || kept[0].Err != nil {
		t.Errorf("of the first commit: %+v", kept)
	}
	policy, _, _ := witnesses(t, trail, 2, "all")
	record(t, trail, turns(1, 5)...)
	get(trail.Timestamp(t.Context(), Timestamping{URL: tsa.URL}))(t) // before any witness
	record(t, trail, turns(5, 8)...)
	get(trail.Cosign(t.Context(), Witnessing{Policy: policy}))(t)
	get(trail.Timestamp(t.Context(), Timestamping{URL: tsa.URL}))(t)
	kept = get(trail.KeptCheckpoints(t.Context(), 0))(t)
	if len(kept) != 2 || kept[0].Size != 8 || kept[1].Size != 5 {
		t.Fatalf("%+v", kept)
	}
	for i, cosigned := range []int{2, 0} {
		k := kept[i]
		if k.Err != nil || len(k.Cosigned) != cosigned || k.Stamped == nil || k.Stamped.TSA != "CN=Example TSA,O=Example" || len(k.KeyIDs) != 1 || !k.Time.Equal(get(trail.Entry(t.Context(), k.Size-1))(t).Time) || time.Since(k.Stamped.Time).Abs() > time.Hour || !strings.HasPrefix(string(k.Signed), origin+"\n") {
			t.Errorf("%+v", k)
		}
		for _, c := range k.Cosigned {
			if !strings.HasPrefix(c.Name, "witness.example.org/w") || time.Since(c.Time).Abs() > time.Hour {
				t.Errorf("%+v", c)
			}
		}
	}
	if kept := get(trail.KeptCheckpoints(t.Context(), 1))(t); len(kept) != 1 || kept[0].Size != 8 {
		t.Errorf("the newest one: %+v", kept)
	}
	// What cannot be read hides nothing else.
	must(t, trail.store.Attach(attachedTimestamp, 5, []byte("no token")))
	must(t, trail.store.Attach(attachedCosigned, 6, []byte("no checkpoint")))
	kept = get(trail.KeptCheckpoints(t.Context(), 0))(t)
	if len(kept) != 3 || kept[0].Err != nil || kept[1].Err == nil || kept[2].Err == nil {
		t.Errorf("%+v", kept)
	}
}

// TestKeptOfFiles: a document that cannot be read does not take the place of one that can,
// and each checkpoint that cannot be read is told of.
func TestKeptOfFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trail")
	keys := t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	for n := range 4 {
		record(t, trail, turn(n))
	}
	must(t, trail.Close())
	tails := get(filepath.Glob(filepath.Join(dir, "*", "*.tail")))(t)
	if len(tails) != 1 {
		t.Fatalf("tails: %q", tails)
	}
	f := parseTail(t, readFile(t, tails[0]))
	for i := range 2 {
		f.frames[1+i].checkpoint = fmt.Appendf(nil, "none %d\n\ntwo\nlines\n", i)
	}
	replace(t, tails[0], f.bytes(t))
	trail = openTrail(t, dir, Options{ReadOnly: true})
	must(t, trail.store.Attach(attachedCosigned, trail.Size(), []byte("no checkpoint")))
	for _, limit := range []int{0, 3} {
		kept := get(trail.KeptCheckpoints(t.Context(), limit))(t)
		if len(kept) != 3 {
			t.Fatalf("limit %d: %+v", limit, kept)
		}
		for i, k := range kept[:2] {
			if k.Size != 0 || k.Err == nil || string(k.Signed) != fmt.Sprintf("none %d\n\ntwo\nlines\n", 1-i) {
				t.Errorf("%+v", k)
			}
		}
		if k := kept[2]; k.Size != trail.Size() || k.Err == nil || len(k.KeyIDs) != 1 || k.Time.IsZero() || !bytes.Equal(k.Signed, get(trail.Checkpoint(t.Context()))(t)) {
			t.Errorf("of what cannot be parsed: %+v", k)
		}
	}
	attached := get(filepath.Glob(filepath.Join(dir, "*", "*."+attachedCosigned)))(t)
	if len(attached) != 1 {
		t.Fatalf("attached: %q", attached)
	}
	must(t, os.Remove(attached[0]))
	must(t, os.Mkdir(attached[0], 0o700))
	kept := get(trail.KeptCheckpoints(t.Context(), 0))(t)
	if k := kept[len(kept)-1]; k.Err == nil || len(k.KeyIDs) != 1 || !bytes.Equal(k.Signed, get(trail.Checkpoint(t.Context()))(t)) {
		t.Errorf("of what cannot be read: %+v", k)
	}
}

// TestKeptOfSegments: the trail keeps what every full segment ends with, also once the
// segment was pruned.
func TestKeptOfSegments(t *testing.T) {
	f := get(sealedTrail())(t)
	trail := get(Open(f.copyOf(t), &Options{ReadOnly: true, Logger: quiet}))(t)
	defer trail.Close()
	kept := get(trail.KeptCheckpoints(t.Context(), 0))(t)
	var sizes []uint64
	for _, k := range kept {
		sizes = append(sizes, k.Size)
		if k.Err != nil || len(k.KeyIDs) == 0 || !k.Time.Equal(get(trail.Entry(t.Context(), k.Size-1))(t).Time) {
			t.Errorf("%+v", k)
		}
	}
	if want := []uint64{trail.Size(), 2 * segment.Entries, segment.Entries}; !slices.Equal(sizes, want) {
		t.Errorf("those of %d entries are kept, want %d", sizes, want)
	}
	if kept := get(trail.KeptCheckpoints(t.Context(), 2))(t); len(kept) != 2 || kept[1].Size != 2*segment.Entries {
		t.Errorf("the newest two: %+v", kept)
	}
}

// TestHandlersTellWhereTheyAre: also where nothing that they ask for comes.
func TestHandlersTellWhereTheyAre(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		trail := onMem(t, Options{})
		defer trail.Close()
		nothing := func(context.Context, Entry) error { return nil }
		b := trail.AddHandler(nothing, HandlerOptions{Name: "b", Query: Query{Types: []event.Type{event.EmergencyStop}}})
		trail.AddHandler(func(context.Context, Entry) error { return errors.New("no") }, HandlerOptions{Name: "a", Query: Query{From: 3}})
		trail.AddHandler(nothing, HandlerOptions{Name: "c", Query: Query{Limit: 1}})
		record(t, trail, turns(1, 10)...)
		synctest.Wait()
		all := trail.Handlers()
		if len(all) != 2 || all[0].Name != "a" || all[0].Next != 3 || all[0].Err == nil || all[1] != (HandlerStatus{Name: "b", Next: 10}) {
			t.Errorf("%+v", all)
		}
		b.Remove()
		if all := trail.Handlers(); len(all) != 1 || all[0].Name != "a" {
			t.Errorf("%+v", all)
		}
	})
}
