package custody

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs/vfstest"
	"github.com/custodylog/custody/redaction"
)

// onMem opens a new trail in memory.
func onMem(t testing.TB, opts Options) *Trail {
	t.Helper()
	opts.fs = vfstest.NewMem()
	return newTrail(t, opts)
}

// reopen closes a trail and opens it again.
func reopen(t testing.TB, trail *Trail, opts Options) *Trail {
	t.Helper()
	must(t, trail.Close())
	opts.fs = trail.opts.fs
	if opts.KeyDir == "" {
		opts.KeyDir = trail.opts.KeyDir
	}
	return openTrail(t, trail.Dir(), opts)
}

// eventAt returns the event of an entry.
func eventAt(t testing.TB, trail *Trail, index uint64) event.Event {
	t.Helper()
	e := get(trail.Entry(t.Context(), index))(t)
	return get(e.Event())(t)
}

func wantSize(t testing.TB, trail *Trail, want uint64) {
	t.Helper()
	if got := trail.Size(); got != want {
		t.Errorf("the trail has %d entries, want %d", got, want)
	}
}

func TestReceipt(t *testing.T) {
	trail := onMem(t, Options{})
	receipts := record(t, trail, turn(1), event.Event{Type: event.TurnEnded, SessionID: "s"})
	for i, r := range receipts {
		e := get(trail.Entry(t.Context(), r.Index))(t)
		if r.Index != uint64(i)+1 || r.Hash != e.Hash || !r.Time.Equal(e.Time) || r.Duplicate {
			t.Errorf("receipt %d: %+v, entry %+v", i, r, e)
		}
		if r.Hash != evidence.LeafHash(e.Envelope) {
			t.Errorf("receipt %d: its hash is not the leaf hash of the entry", i)
		}
		if byID := get(trail.EntryByID(t.Context(), r.ID))(t); byID.Index != r.Index {
			t.Errorf("id %q is entry %d, want %d", r.ID, byID.Index, r.Index)
		}
		key := get(evidence.ParseVerifier(trail.VerifierKey()))(t)
		c, _, err := evidence.OpenCheckpoint(r.Checkpoint, key)
		if err != nil || c.Size <= r.Index || c.Origin != origin {
			t.Errorf("receipt %d: checkpoint %+v, %v", i, c, err)
		}
	}
	if receipts[0].ID != "turn-1" {
		t.Errorf("the id became %q", receipts[0].ID)
	}
	id := receipts[1].ID // RFC 9562 section 5.7
	if len(id) != 36 || id[14] != '7' || !strings.Contains("89ab", id[19:20]) {
		t.Errorf("%q is no UUIDv7", id)
	}
}

// What a trail gives to events without an id is in the order of their time, and
// no two have the same.
func TestNewIDs(t *testing.T) {
	trail := onMem(t, Options{})
	seen := map[string]bool{}
	last := ""
	for range 3 {
		events := make([]event.Event, 100)
		for i := range events {
			events[i] = event.Event{Type: event.TurnEnded, SessionID: "s"}
		}
		for _, r := range record(t, trail, events...) {
			if seen[r.ID] {
				t.Fatalf("id %s was given twice", r.ID)
			}
			seen[r.ID] = true
			if at := r.ID[:13]; at < last {
				t.Errorf("time %s of an id is before %s", at, last)
			} else {
				last = at
			}
		}
	}
}

func TestDuplicates(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	first := event.Event{ID: "a", Type: event.TurnEnded, SessionID: "s", Timestamp: at, Details: map[string]any{"n": 1, "o": map[string]any{"b": 1, "a": 2}}}
	again := first
	again.Details = map[string]any{"o": map[string]any{"a": 2, "b": 1.0}, "n": json.Number("1")} // the same JSON
	other := first
	other.SessionID = "t"
	later := first
	later.Timestamp = at.Add(time.Second)
	untimed := first
	untimed.Timestamp = time.Time{}

	for _, tt := range []struct {
		name     string
		stored   event.Event
		event    event.Event
		conflict bool
	}{
		{"equal", first, again, false},
		{"other content", first, other, true},
		{"other timestamp", first, later, true},
		{"timestamp left out, which was given before", first, untimed, false},
		{"timestamp left out both times", untimed, untimed, false},
		{"timestamp given, which was left out before", untimed, first, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check := func(t *testing.T, trail *Trail, r Receipt, err error) {
				t.Helper()
				if tt.conflict != errors.Is(err, ErrConflict) || !tt.conflict && err != nil {
					t.Fatalf("error %v", err)
				}
				wantSize(t, trail, 2)
				if tt.conflict {
					return
				}
				e := get(trail.EntryByID(t.Context(), "a"))(t)
				if !r.Duplicate || r.ID != "a" || r.Index != 1 || r.Hash != e.Hash || !r.Time.Equal(e.Time) || len(r.Checkpoint) == 0 {
					t.Errorf("receipt %+v", r)
				}
			}
			stored := func(t *testing.T, opts Options) *Trail {
				trail := onMem(t, opts)
				record(t, trail, tt.stored)
				return trail
			}
			t.Run("Record", func(t *testing.T) {
				trail := stored(t, Options{})
				r, err := trail.Record(t.Context(), tt.event)
				check(t, trail, r, err)
			})
			t.Run("after reopening", func(t *testing.T) {
				trail := reopen(t, stored(t, Options{}), Options{})
				r, err := trail.Record(t.Context(), tt.event)
				check(t, trail, r, err)
			})
			t.Run("in a batch with others", func(t *testing.T) {
				trail := stored(t, Options{})
				receipts, err := trail.RecordBatch(t.Context(), []event.Event{turn(1), tt.event, turn(2)})
				var be *BatchError
				if tt.conflict {
					if !errors.As(err, &be) || be.Position != 1 {
						t.Errorf("error %v does not name event 1", err)
					}
					check(t, trail, Receipt{}, err) // none of the batch is recorded
					return
				}
				must(t, err)
				wantSize(t, trail, 4)
				if !receipts[1].Duplicate || receipts[1].Index != 1 || receipts[0].Duplicate || receipts[0].Index != 2 || receipts[2].Index != 3 {
					t.Errorf("receipts %+v", receipts)
				}
			})
			t.Run("within one batch", func(t *testing.T) {
				trail := onMem(t, Options{})
				receipts, err := trail.RecordBatch(t.Context(), []event.Event{tt.stored, tt.event})
				if tt.conflict {
					var be *BatchError
					if !errors.Is(err, ErrConflict) || !errors.As(err, &be) || be.Position != 1 {
						t.Errorf("error %v", err)
					}
					wantSize(t, trail, 1)
					return
				}
				must(t, err)
				check(t, trail, receipts[1], nil)
			})
			t.Run("later", func(t *testing.T) {
				trail := stored(t, Options{Async: true})
				_, err := trail.Record(t.Context(), tt.event)
				_, ferr := trail.Flush(t.Context())
				if err = errors.Join(err, ferr); tt.conflict != errors.Is(err, ErrConflict) || !tt.conflict && err != nil {
					t.Errorf("error %v", err)
				}
				wantSize(t, trail, 2)
			})
		})
	}
}

// An id that somebody else is just recording is known to be taken only when the
// batch is committed. That one event is refused; the others are recorded.
func TestDuplicateUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate()
		trail := newTrail(t, Options{fs: g.disk(), DiskWarning: -1})
		defer trail.Close()
		g.shut()
		var first, again Receipt
		var errs [3]error
		go func() { first, errs[0] = trail.Record(t.Context(), turn(1)) }()
		synctest.Wait()
		other := turn(1)
		other.AgentID = "other"
		go func() { again, errs[1] = trail.Record(t.Context(), turn(1)) }()
		go func() { _, errs[2] = trail.RecordBatch(t.Context(), []event.Event{turn(2), other, turn(3)}) }()
		synctest.Wait()
		g.release()
		synctest.Wait()
		var be *BatchError
		if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], ErrConflict) || !errors.As(errs[2], &be) || be.Position != 1 {
			t.Errorf("errors %v", errs)
		}
		if first.Duplicate || !again.Duplicate || again.Index != first.Index || again.Hash != first.Hash {
			t.Errorf("receipts %+v and %+v", first, again)
		}
		wantSize(t, trail, 4)
		for _, id := range []string{"turn-2", "turn-3"} {
			get(trail.EntryByID(t.Context(), id))(t)
		}
		wantClean(t, trail)
	})
}

// A caller that gives up while its event is being written learns by recording it
// again what became of it.
func TestGivingUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate()
		trail := newTrail(t, Options{fs: g.disk(), DiskWarning: -1})
		defer trail.Close()
		g.shut()
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		go func() { _, err = trail.Record(ctx, turn(1)) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		g.release()
		if r := get(trail.Record(t.Context(), turn(1)))(t); !r.Duplicate || r.Index != 1 {
			t.Errorf("receipt %+v", r)
		}
		wantSize(t, trail, 2)
		wantClean(t, trail)
	})
}

// Ids that are too long move to the details, so the events get others.
func TestIDTooLong(t *testing.T) {
	trail := onMem(t, Options{})
	long := strings.Repeat("x", event.MaxIDLen+1)
	a, b := turn(1), turn(2)
	a.ID, b.ID = long, long+"y"
	receipts := record(t, trail, a, b)
	wantSize(t, trail, 3)
	for i, r := range receipts {
		e := get(trail.EntryByID(t.Context(), r.ID))(t)
		ev := get(e.Event())(t)
		if len(r.ID) != idLen || ev.ID != r.ID || ev.Details["id_raw"] != []event.Event{a, b}[i].ID || len(ev.Defects) == 0 {
			t.Errorf("receipt %+v, event %+v", r, ev)
		}
	}
}

func TestModes(t *testing.T) {
	bad := event.Event{Type: event.ActionDenied, Decision: "perhaps", TraceID: "xyz"}
	unknown := event.Event{Type: "coffee_break", AgentID: "a"}

	t.Run("strict", func(t *testing.T) {
		trail := onMem(t, Options{Mode: event.Strict})
		_, err := trail.Record(t.Context(), bad)
		var invalid *event.ValidationError
		if !errors.As(err, &invalid) || len(invalid.Problems) < 4 {
			t.Errorf("error %v does not list all that is wrong", err)
		}
		_, err = trail.RecordBatch(t.Context(), []event.Event{turn(1), bad})
		var be *BatchError
		if !errors.As(err, &invalid) || !errors.As(err, &be) || be.Position != 1 {
			t.Errorf("error %v does not name event 1", err)
		}
		wantSize(t, trail, 1)
		r, err := trail.Record(t.Context(), unknown)
		must(t, err) // an unknown type is no fault
		ev := eventAt(t, trail, r.Index)
		if !reflect.DeepEqual(ev.Defects, []string{event.DefectUnregistered}) || ev.Type != unknown.Type {
			t.Errorf("stored is %+v", ev)
		}
	})
	t.Run("lenient", func(t *testing.T) {
		trail := onMem(t, Options{})
		r := record(t, trail, bad)[0]
		e := get(trail.Entry(t.Context(), r.Index))(t)
		ev := get(e.Event())(t)
		if ev.Details["decision_raw"] != "perhaps" || ev.Decision != "" || len(ev.Defects) < 4 {
			t.Errorf("stored is %+v", ev)
		}
		if e.Type != event.ActionDenied {
			t.Errorf("type %q", e.Type)
		}
	})
	t.Run("a type that is none", func(t *testing.T) {
		trail := onMem(t, Options{})
		r := record(t, trail, event.Event{Type: "No Type!"})[0]
		e := get(trail.Entry(t.Context(), r.Index))(t)
		if e.Type != event.Unregistered {
			t.Errorf("type %q", e.Type)
		}
	})
}

func TestPayloadSize(t *testing.T) {
	trail := onMem(t, Options{MaxPayload: 500})
	fits := event.Event{ID: "a", Type: event.TurnEnded, SessionID: "s", Timestamp: time.Unix(1, 0), Severity: event.SeverityInfo}
	payload := get(fits.AppendPayload(nil))(t)
	const detail = `,"details":{"x":""}`
	fits.Details = map[string]any{"x": strings.Repeat("y", 500-len(payload)-len(detail))}
	record(t, trail, fits)

	big := fits
	big.ID = "b"
	big.Details = map[string]any{"x": fits.Details["x"].(string) + "y"}
	_, err := trail.Record(t.Context(), big)
	var size *PayloadSizeError
	if !errors.As(err, &size) || size.Size != 501 || size.Limit != 500 || !strings.Contains(err.Error(), "500") {
		t.Errorf("error %v", err)
	}
	wantSize(t, trail, 2)

	// One that is larger than all that may wait goes through alone.
	trail = onMem(t, Options{MaxPending: 1000, MaxPayload: 1 << 20})
	big.Details = map[string]any{"x": strings.Repeat("y", 100_000)}
	record(t, trail, big)
	wantClean(t, trail)
}

// The index knows values by 48 bits of a hash. These have the same ones; the trail
// tells them apart all the same.
func TestSameHash(t *testing.T) {
	const a, b = "id-12072476", "id-26473910"
	const agentA, agentB = "agent-10576633", "agent-14938164"
	if idKey(a) != idKey(b) || storage.KeyOf(uint8(event.FieldAgent), agentA) != storage.KeyOf(uint8(event.FieldAgent), agentB) {
		t.Fatal("the index goes by another hash now: these do not collide")
	}
	first := event.Event{ID: a, Type: event.TurnEnded, SessionID: "s", AgentID: agentA}
	second := event.Event{ID: b, Type: event.TurnEnded, SessionID: "s", AgentID: agentB}
	check := func(t *testing.T, trail *Trail) {
		t.Helper()
		wantSize(t, trail, 3)
		for _, e := range []event.Event{first, second} {
			entry := get(trail.EntryByID(t.Context(), e.ID))(t)
			if ev := eventAt(t, trail, entry.Index); ev.AgentID != e.AgentID {
				t.Errorf("id %s is the event of %s", e.ID, ev.AgentID)
			}
			if got := indices(all(t, trail, Query{AgentID: e.AgentID})); !slices.Equal(got, []uint64{entry.Index}) {
				t.Errorf("agent %s is in %v", e.AgentID, got)
			}
			if r := get(trail.Record(t.Context(), e))(t); !r.Duplicate || r.Index != entry.Index {
				t.Errorf("the same again: %+v", r)
			}
		}
		wantClean(t, trail)
	}
	t.Run("one by one", func(t *testing.T) {
		trail := onMem(t, Options{})
		record(t, trail, first)
		record(t, trail, second)
		check(t, trail)
	})
	t.Run("in one batch", func(t *testing.T) {
		log := &lines{}
		trail := onMem(t, Options{Mirror: slog.New(slog.NewTextHandler(log, nil))})
		for i, r := range record(t, trail, first, second) {
			if r.Index != uint64(i)+1 || r.Duplicate || len(r.Checkpoint) == 0 {
				t.Errorf("receipt %+v", r)
			}
		}
		check(t, trail)
		if got := log.String(); strings.Count(got, a) != 1 || strings.Count(got, b) != 1 {
			t.Errorf("mirrored are %s", got)
		}
	})
	t.Run("later", func(t *testing.T) {
		trail := onMem(t, Options{Async: true, FlushInterval: time.Hour})
		get(trail.Record(t.Context(), first))(t)
		get(trail.Record(t.Context(), second))(t)
		get(trail.Flush(t.Context()))(t)
		check(t, trail)
	})
	t.Run("at the same time", func(t *testing.T) {
		for range 20 {
			trail := onMem(t, Options{})
			var both sync.WaitGroup
			for _, e := range []event.Event{first, second, first, second} {
				both.Go(func() {
					if _, err := trail.Record(t.Context(), e); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			check(t, trail)
		}
	})
}

func idKey(id string) storage.Key { return storage.KeyOf(uint8(event.FieldID), id) }

// What cannot be encoded is refused, with the place; nothing that the caller
// holds is changed by that, nor by what is recorded.
func TestCallersEvent(t *testing.T) {
	type inner struct{ Password string }
	details := func() map[string]any {
		return map[string]any{
			"api_key": "s3cr3t", "list": []any{map[string]any{"token": "s3cr3t"}, "x"}, "struct": &inner{"s3cr3t"},
			"json": `{"password":"s3cr3t"}`, "strings": map[string]string{"secret": "s3cr3t"}, "n": 1,
		}
	}
	n := uint64(7)
	make := func() event.Event {
		return event.Event{Type: "no type!", AgentID: strings.Repeat("a", 2000), Decision: "perhaps", SourceSeq: &n,
			Details: details(), Defects: []string{"d"}, Redactions: []event.Redaction{{Pointer: "/details/x", Rule: "r", Method: "m"}}}
	}
	trail := onMem(t, Options{Principal: "somebody"})

	e := make()
	record(t, trail, e)
	if want := make(); !reflect.DeepEqual(e, want) {
		t.Errorf("the event became %+v", e)
	}

	e = make()
	e.Details["list"] = []any{"x", map[string]any{"f": func() {}}}
	_, err := trail.Record(t.Context(), e)
	var field *event.FieldError
	if !errors.As(err, &field) || !strings.Contains(err.Error(), "/details/list/1/f") && !strings.Contains(err.Error(), "list") {
		t.Errorf("error %v does not name the place", err)
	}
	for _, bad := range []any{"\xff", math.NaN(), math.Inf(1), json.Number("9007199254740993"), int64(1<<53 + 1)} {
		e := event.Event{Type: event.TurnEnded, SessionID: "s", Details: map[string]any{"x": bad}}
		if _, err := trail.Record(t.Context(), e); !errors.As(err, &field) {
			t.Errorf("%v: error %v", bad, err)
		}
	}
}

// No byte of a secret reaches the disk, in whatever file, before or after the
// trail is closed.
func TestRedactedBeforeWritten(t *testing.T) {
	const secret = "pl4nted-s3cret-value"
	dir := t.TempDir()
	opts := Options{KeyDir: t.TempDir(), Logger: quiet}
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: opts.KeyDir}))(t)
	trail := openTrail(t, dir, opts)
	act := Action{ID: "a1", Tool: "Bash", AgentID: "a", SessionID: "s", Input: map[string]any{
		"command": "deploy", "env": map[string]any{"API_KEY": secret, "max_tokens": 7}, "headers": map[string]string{"Authorization": "Bearer " + secret}}}
	r, err := trail.ActionRequested(t.Context(), act)
	must(t, err)
	record(t, trail,
		event.Event{Type: event.TurnEnded, SessionID: "s", Details: map[string]any{"password": secret, "nested": `{"client_secret":"` + secret + `"}`}},
		event.Event{Type: "x.unknown", Details: map[string]any{"cookies": []string{secret}}})
	search := func(when string) {
		t.Helper()
		for name, b := range files(t, dir) {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s: %s holds the secret", when, name)
			}
		}
	}
	search("open")
	ev := eventAt(t, trail, r.Index)
	want := []event.Redaction{
		{Pointer: "/details/input/env/API_KEY", Rule: "key:api_key", Method: "mask"},
		{Pointer: "/details/input/headers/Authorization", Rule: "key:authorization", Method: "mask"},
	}
	if !reflect.DeepEqual(ev.Redactions, want) {
		t.Errorf("listed are the redactions %+v", ev.Redactions)
	}
	if n := ev.Details["input"].(map[string]any)["env"].(map[string]any)["max_tokens"]; fmt.Sprint(n) != "7" {
		t.Errorf("max_tokens became %v", n)
	}
	must(t, trail.Close())
	search("closed")
}

// redactAll is a redactor that leaves nothing.
type redactAll struct{}

func (redactAll) Redact(e event.Event) event.Event {
	e.Details = map[string]any{}
	return e
}

func TestOwnRedactor(t *testing.T) {
	keys := t.TempDir()
	trail := onMem(t, Options{Redactor: redactAll{}, KeyDir: keys})
	r := record(t, trail, turn(1))[0]
	if ev := eventAt(t, trail, r.Index); len(ev.Details) != 0 {
		t.Errorf("the details are %v", ev.Details)
	}
	// What the trail says of itself is not subject to it.
	next, _, err := NewKey(keys, origin)
	must(t, err)
	get(trail.RotateKey(t.Context(), next.Key(), "", ""))(t)
	record(t, trail, turn(2))
	wantClean(t, trail)

	rules := redaction.Rules{Common: redaction.Common{Keys: redaction.KeyRules{Extra: []string{"shoe_size"}, Allow: []string{"password"}}}}
	trail = onMem(t, Options{Redactor: get(redaction.New(rules))(t)})
	r = record(t, trail, event.Event{Type: event.TurnEnded, SessionID: "s", Details: map[string]any{"shoeSize": "44", "password": "x"}})[0]
	if ev := eventAt(t, trail, r.Index); ev.Details["shoeSize"] != redaction.Mask || ev.Details["password"] != "x" {
		t.Errorf("the details are %v", ev.Details)
	}
}

func TestPrincipal(t *testing.T) {
	trail := onMem(t, Options{Principal: "token:ci"})
	e := turn(1)
	e.Principal = "root"
	r := record(t, trail, e)[0]
	if ev := eventAt(t, trail, r.Index); ev.Principal != "token:ci" {
		t.Errorf("the principal is %q", ev.Principal)
	}
}

func TestBatchOfNothing(t *testing.T) {
	trail := onMem(t, Options{})
	receipts, err := trail.RecordBatch(t.Context(), nil)
	if len(receipts) != 0 || err != nil {
		t.Errorf("got %v, %v", receipts, err)
	}
	wantSize(t, trail, 1)
}

// A batch that is too large for one commit is made in several, in order.
func TestLargeBatch(t *testing.T) {
	t.Parallel()
	trail := onMem(t, Options{MaxPayload: 1 << 20})
	var events []event.Event
	for n := range 12 {
		e := turn(n)
		e.Details = map[string]any{"x": strings.Repeat(fmt.Sprint(n%10), 900_000)}
		events = append(events, e)
	}
	for i, r := range record(t, trail, events...) {
		if r.Index != uint64(i)+1 {
			t.Fatalf("event %d is entry %d", i, r.Index)
		}
	}
	if report := wantClean(t, trail); report.Signed < 5 {
		t.Errorf("only %d commits", report.Signed)
	}
}
