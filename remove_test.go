package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// about is an event about a person.
func about(user, project string, n int) event.Event {
	return event.Event{ID: fmt.Sprintf("%s-%s-%d", user, project, n), Type: event.TurnStarted, SessionID: "s", UserID: user, ProjectID: project,
		Details: map[string]any{"prompt": fmt.Sprintf("marker-%s-%s-%d", user, project, n)}}
}

// erase erases by user.
func erase(t testing.TB, trail *Trail, user string) *ErasureReceipt {
	t.Helper()
	return get(trail.Erase(t.Context(), Erasure{Query: Query{UserID: user}, Ground: "GDPR Art. 17(1)(a)", By: "privacy-desk"}))(t)
}

// holdsText reports which files below dir have a text in them.
func holdsText(t testing.TB, dir, text string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte(text)) {
			names = append(names, name)
		}
		return err
	}))
	return names
}

func TestErase(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	vkey := get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	var events []event.Event
	for n := range 20 {
		events = append(events, about("u1", "p", n), about("u2", "p", n))
	}
	record(t, trail, events...)
	before := all(t, trail, Query{})
	plan := get(trail.PlanErasure(t.Context(), Erasure{Query: Query{UserID: "u1"}}))(t)
	if plan.Entries.Count() != 20 || plan.Types[event.TurnStarted] != 20 || plan.Bytes < 20*100 {
		t.Errorf("the plan is %+v", plan)
	}

	receipt := erase(t, trail, "u1")
	if got := holdsText(t, dir, "marker-u1"); len(got) > 0 {
		t.Errorf("still in %v", got)
	}
	if got := holdsText(t, dir, "marker-u2"); len(got) == 0 {
		t.Error("what was to stay is not there")
	}
	key := get(evidence.ParseVerifier(vkey))(t)
	if erased := get(receipt.Check(key))(t); erased.String() != plan.Entries.String() {
		t.Errorf("the receipt proves %s, erased was %s", erased, plan.Entries)
	}
	if got := all(t, trail, Query{UserID: "u1"}); len(got) > 0 {
		t.Errorf("%d entries are found by what was erased", len(got))
	}
	after := all(t, trail, Query{})
	for i, e := range before {
		if !bytes.Equal(e.Envelope, after[i].Envelope) || after[i].Payload != nil != !plan.Entries.Contains(e.Index) {
			t.Fatalf("entry %d is %+v", i, after[i])
		}
	}
	ev := get(after[len(after)-1].Event())(t)
	if strings.Contains(fmt.Sprint(ev.Details), "u1") || ev.Type != event.PayloadErased || ev.UserID != "privacy-desk" {
		t.Errorf("the event that stays is %v", ev)
	}
	report := get(trail.Verify(t.Context(), VerifyOptions{Key: vkey}))(t)
	if !report.OK() || len(report.Removed) != 1 || report.Removed[0].Gone != 20 || len(report.Removed[0].Left) > 0 || report.Removed[0].Event != after[len(after)-1].Index {
		t.Errorf("%v, removed %+v", report.Findings, report.Removed)
	}
	if _, err := trail.Erase(t.Context(), Erasure{Query: Query{UserID: "u1"}, Ground: "g", By: "b"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("erased again: %v", err)
	}
	record(t, trail, about("u1", "p", 100))
	wantClean(t, trail)
	must(t, trail.Close())
	wantClean(t, openTrail(t, dir, Options{ReadOnly: true}))
}

func TestEraseByFields(t *testing.T) {
	trail := newTrail(t, Options{})
	for n, mail := range []string{"a@example.org", "b@example.org", "a@example.org"} {
		e := about("u", "p", n)
		e.Details["to"] = []any{map[string]any{"mail~x": mail, "n": n}}
		record(t, trail, e)
	}
	for pointer, value := range map[string]string{"/details/to/0/mail~0x": "a@example.org", "/details/to/0/n": "1"} {
		plan := get(trail.PlanErasure(t.Context(), Erasure{Fields: map[string]string{pointer: value}}))(t)
		want := "1,3"
		if value == "1" {
			want = "2"
		}
		if plan.Entries.String() != want {
			t.Errorf("%s %s: %s, want %s", pointer, value, plan.Entries, want)
		}
	}
	plan := get(trail.PlanErasure(t.Context(), Erasure{Entries: evidence.Ranges{{First: 0, Last: 1}}}))(t)
	if plan.Entries.String() != "1" || plan.Own.String() != "0" {
		t.Errorf("%+v", plan)
	}
	for _, bad := range []Erasure{{}, {Fields: map[string]string{"details": "x"}}, {Query: Query{From: 3, To: 2}}} {
		if _, err := trail.PlanErasure(t.Context(), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestHold(t *testing.T) {
	trail := newTrail(t, Options{})
	record(t, trail, about("u1", "p1", 0), about("u1", "p2", 0))
	q := Query{ProjectID: "p1", Types: []event.Type{event.TurnStarted}, Until: time.Now().Add(time.Hour).UTC().Round(0)}
	hold := get(trail.PlaceHold(t.Context(), Hold{Query: q, Reason: "case 12", By: "counsel"}))(t)
	record(t, trail, about("u1", "p1", 1)) // held too
	got := get(trail.Holds(t.Context()))(t)
	if len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(hold) {
		t.Fatalf("holds %+v, want %+v", got, hold)
	}
	var held *HeldError
	_, err := trail.Erase(t.Context(), Erasure{Query: Query{UserID: "u1"}, Ground: "g", By: "b"})
	if !errors.As(err, &held) || held.Entries.String() != "1,4" || !slices.Equal(held.Holds, []string{hold.ID}) {
		t.Fatalf("erased in spite of the hold: %v", err)
	}
	get(trail.Erase(t.Context(), Erasure{Query: Query{UserID: "u1"}, Ground: "g", By: "b", ExceptHeld: true}))(t)
	if got := all(t, trail, Query{UserID: "u1"}); len(got) != 2 {
		t.Errorf("%d are left", len(got))
	}
	if _, err := trail.ReleaseHold(t.Context(), "other", "counsel", "over"); !errors.Is(err, ErrNotFound) {
		t.Errorf("released what is not there: %v", err)
	}
	get(trail.ReleaseHold(t.Context(), hold.ID, "counsel", "case closed"))(t)
	if got := get(trail.Holds(t.Context()))(t); len(got) > 0 {
		t.Errorf("still held: %+v", got)
	}
	erase(t, trail, "u1")
	wantClean(t, trail)
	for _, bad := range []Hold{{By: "b"}, {Reason: "r"}, {Reason: "r", By: "b", Query: Query{From: 2, To: 1}}} {
		if _, err := trail.PlaceHold(t.Context(), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestReservedTypes has a producer that says what only the trail may say.
func TestReservedTypes(t *testing.T) {
	trail := newTrail(t, Options{})
	for _, typ := range []event.Type{event.PayloadErased, event.RetentionApplied, event.LegalHoldChanged, event.RedactionChanged} {
		_, err := trail.Record(t.Context(), event.Event{Type: typ, Source: sourceSelf, Details: map[string]any{"indices": "0", "count": 1, "digest": "x"}})
		var field *event.FieldError
		if !errors.As(err, &field) || field.Pointer != "/event_type" {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// removeQuietly removes payloads without an event, as somebody does who has the
// program but not the right.
func removeQuietly(t testing.TB, trail *Trail, at evidence.Ranges) {
	t.Helper()
	must(t, trail.store.RemovePayloads(t.Context(), at))
}

func TestVerifyRemovals(t *testing.T) {
	trail := newTrail(t, Options{})
	record(t, trail, turns(0, 30)...)
	for n := range 5 {
		record(t, trail, about("u1", "p", n))
	}
	erase(t, trail, "u1")
	record(t, trail, turns(30, 40)...)
	wantClean(t, trail)
	removeQuietly(t, trail, evidence.Ranges{{First: 3, Last: 5}, {First: 40, Last: 40}})
	if got := verify(t, trail, VerifyOptions{}); got != "payload_missing 3, payload_missing 40" {
		t.Errorf("found %q", got)
	}
}

// TestCrashWhileErasing crashes before each operation of an erasure. Opened again,
// either nothing was erased, and nothing says so, or everything, and one event
// says so.
func TestCrashWhileErasing(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	disk, key := vfstest.NewMem(), newKey(t)
	trail := newTrail(t, Options{fs: disk, Signer: key, DiskWarning: -1})
	for n := range 10 {
		record(t, trail, about("u1", "p", n), about("u2", "p", n))
	}
	must(t, trail.Close())
	check := func(disk *vfstest.Mem) (erased bool, err error) {
		trail, err := Open("trail", &Options{fs: disk, Signer: key, DiskWarning: -1, Logger: quiet})
		if err != nil {
			return false, err
		}
		defer trail.Close()
		events := all(t, trail, Query{Types: []event.Type{event.PayloadErased}})
		left := len(all(t, trail, Query{UserID: "u1"}))
		if len(events) > 1 || left != 10*(1-len(events)) {
			return false, fmt.Errorf("%d events tell of an erasure, and %d payloads are left", len(events), left)
		}
		if n := len(all(t, trail, Query{UserID: "u2"})); n != 10 {
			return false, fmt.Errorf("%d of 10 payloads are left that nobody wanted erased", n)
		}
		if note, err := trail.store.Intent(); err != nil || note != nil {
			return false, fmt.Errorf("the note is left: %q %v", note, err)
		}
		report, err := trail.Verify(t.Context(), VerifyOptions{})
		if err == nil && !report.OK() {
			err = fmt.Errorf("%v", report.Findings)
		}
		return len(events) == 1, err
	}
	var mu sync.Mutex
	var failed error
	seen := map[bool]int{}
	trail = openTrail(t, "trail", Options{Signer: key, DiskWarning: -1, fs: vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range []*vfstest.Mem{disk.Clone(), disk.CrashClone(rng), disk.CrashClone(nil)} {
			erased, err := check(c)
			if err != nil && failed == nil {
				failed = fmt.Errorf("before operation %d, %s %s: %w", op.N, op.Kind, op.Name, err)
			}
			seen[erased]++
		}
		return vfstest.None
	})})
	erase(t, trail, "u1")
	must(t, trail.Close())
	must(t, failed)
	if seen[true] < 5 || seen[false] < 5 {
		t.Errorf("%v crashes came before and after the event", seen)
	}
}

// TestFaultsWhileErasing lets each operation fail in turn, and opens again.
func TestFaultsWhileErasing(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	base := vfstest.NewMem()
	trail := newTrail(t, Options{fs: base, Signer: key, DiskWarning: -1})
	for n := range 10 {
		record(t, trail, about("u1", "p", n), about("u2", "p", n))
	}
	must(t, trail.Close())
	for _, fault := range []vfstest.Fault{vfstest.Fail, vfstest.FailAfter, vfstest.ShortWrite} {
		for n := 1; ; n++ {
			disk := base.Clone()
			plan := vfstest.OnNth(n, fault)
			opts := Options{fs: vfstest.Inject(disk, plan.Decide), Signer: key, DiskWarning: -1, Logger: quiet}
			trail, err := Open("trail", &opts)
			if err == nil {
				_, err = trail.Erase(context.Background(), Erasure{Query: Query{UserID: "u1"}, Ground: "g", By: "b"})
				trail.Close()
			}
			if !plan.Hit() {
				must(t, err)
				break
			}
			again := get(Open("trail", &Options{fs: disk, Signer: key, DiskWarning: -1, Logger: quiet}))(t)
			events := len(all(t, again, Query{Types: []event.Type{event.PayloadErased}}))
			if left := len(all(t, again, Query{UserID: "u1"})); left != 10*(1-events) || len(all(t, again, Query{UserID: "u2"})) != 10 {
				t.Errorf("operation %d %s (%v): %d events and %d payloads", n, fault, err, events, left)
			}
			wantClean(t, again)
			must(t, again.Close())
		}
	}
}

// TestFailedRemovalIsFinished: what a removal leaves because the disk is full is done
// before the next one, without opening the trail again.
func TestFailedRemovalIsFinished(t *testing.T) {
	disk, key, failing := vfstest.NewMem(), newKey(t), false
	get(Create("trail", CreateOptions{Origin: origin, Signer: key, fs: disk}))(t)
	fsys := vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		if failing && op.Kind == vfstest.Create && strings.Contains(op.Name, "tail") {
			return vfstest.Fail
		}
		return vfstest.None
	})
	trail := openTrail(t, "trail", Options{Signer: key, fs: fsys, DiskWarning: -1})
	record(t, trail, about("u1", "p", 0), about("u2", "p", 1)) // 1 and 2
	failing = true
	if _, err := trail.Erase(t.Context(), Erasure{Query: Query{UserID: "u1"}, Ground: "g", By: "b"}); err == nil {
		t.Fatal("it did not fail")
	}
	failing = false
	erase(t, trail, "u2")
	report := wantClean(t, trail)
	for _, r := range report.Removed {
		if len(r.Left) > 0 {
			t.Errorf("entry %d lists %s, which is still there", r.Event, r.Left)
		}
	}
	if e := get(trail.Entry(t.Context(), 1))(t); e.Payload != nil || len(report.Removed) != 2 {
		t.Errorf("the first payload is there, of %d removals", len(report.Removed))
	}
}

// TestEraseFromSegments erases in sealed segments, and looks for what is left on
// the real disk.
func TestEraseFromSegments(t *testing.T) {
	t.Parallel()
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	var events []event.Event
	for n := range segment.Entries + 500 {
		e := turn(n)
		if n%1000 == 0 {
			e.UserID = "u1"
		}
		if events = append(events, e); len(events) == 4096 {
			record(t, trail, events...)
			events = events[:0]
		}
	}
	record(t, trail, events...)
	salts := map[string]bool{}
	for _, e := range all(t, trail, Query{UserID: "u1"}) {
		salts[string(e.Salt)] = true
	}
	receipt := erase(t, trail, "u1")
	wantClean(t, trail)
	must(t, trail.Close())
	for salt := range salts {
		if got := holdsText(t, dir, salt); len(got) > 0 {
			t.Fatalf("a salt is still in %v", got)
		}
	}
	if len(salts) != 67 || len(receipt.Events) != 1 {
		t.Errorf("%d were erased, by %d events", len(salts), len(receipt.Events))
	}
	again := openTrail(t, dir, Options{KeyDir: keys})
	if n := len(all(t, again, Query{UserID: "u1"})); n > 0 {
		t.Errorf("%d are found", n)
	}
	wantClean(t, again)
}
