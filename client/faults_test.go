package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/recording"
)

// What a busy server does not take is sent again, not before the time that it asks for.
func TestBackPressure(t *testing.T) {
	s := newSite(t)
	wrap, asked := refuseFirst(1, isPost, problem(503, "full", "1"))
	s.restart(wrap)
	start := time.Now()
	r, err := s.open(nil).Record(t.Context(), turn("", "s"))
	must(t, err)
	if r.Duplicate || asked.Load() != 2 || time.Since(start) < time.Second {
		t.Errorf("%+v after %d requests and %s", r, asked.Load(), time.Since(start))
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	s := newSite(t)
	record := func(c *Trail) error {
		_, err := c.Record(t.Context(), turn("", "s"))
		return err
	}
	hold := func(c *Trail) error {
		_, err := c.PlaceHold(t.Context(), custody.Hold{Reason: "r"})
		return err
	}
	broken := func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter)
		do     func(*Trail) error
		asked  int64 // requests, of which the first is answered so
		want   error
	}{
		{"full, an event", problem(503, "full", ""), record, 2, nil},
		{"full, a hold", problem(503, "full", ""), hold, 2, nil},
		{"stopping, a hold", problem(503, "stopping", ""), hold, 2, nil},
		{"given up, an event", problem(503, "timeout", ""), record, 2, nil},
		{"given up, a hold", problem(503, "timeout", ""), hold, 1, errors.ErrUnsupported},
		{"broken, an event", broken, record, 2, nil},
		{"broken, a hold", broken, hold, 1, errors.ErrUnsupported},
		{"a proxy", func(w http.ResponseWriter) { w.WriteHeader(502) }, record, 2, nil},
		{"a fault of the server", problem(500, "internal", ""), record, 1, errors.ErrUnsupported},
		{"later than is waited", problem(503, "disk_full", "60"), record, 1, custody.ErrFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wrap, asked := refuseFirst(1, isPost, tt.answer)
			s.restart(wrap)
			err := tt.do(s.open(nil))
			if (err == nil) != (tt.want == nil) || asked.Load() != tt.asked {
				t.Errorf("%v after %d requests, want %d", err, asked.Load(), tt.asked)
			}
			if tt.want != nil && tt.want != errors.ErrUnsupported && !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// An answer that is lost does not make an event twice, whether or not it came with an
// id.
func TestAnswerIsLost(t *testing.T) {
	s := newSite(t)
	for _, id := range []string{"", "t-1"} {
		var lost atomic.Bool
		s.restart(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if isPost(r) && !lost.Swap(true) {
					next.ServeHTTP(httptest.NewRecorder(), r)
					panic(http.ErrAbortHandler)
				}
				next.ServeHTTP(w, r)
			})
		})
		before := s.trail().Size()
		receipts, err := s.open(nil).RecordBatch(t.Context(), []event.Event{turn(id, "s"), turn("", "s")})
		must(t, err)
		if got := s.trail().Size() - before; got != 2 || receipts[0].Duplicate != (id != "") || receipts[1].Duplicate {
			t.Errorf("id %q: %d entries, receipts %+v", id, got, receipts)
		}
	}
}

func TestServerIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := "http://" + l.Addr().String()
	must(t, l.Close())
	if _, err := Open(t.Context(), addr, &Options{RetryFor: -1, Logger: quiet}); err == nil {
		t.Error("it is there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Open(ctx, addr, &Options{RetryFor: time.Hour, Logger: quiet}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A subscription goes on behind the last entry when the server is started anew.
func TestSubscribe(t *testing.T) {
	s := newSite(t)
	c, ctx := s.open(nil), t.Context()
	record := func(n int) {
		for range n {
			_, err := s.trail().Record(ctx, turn("", "s"))
			must(t, err)
		}
	}
	record(3)
	n := uint64(0)
	for e, err := range c.Subscribe(ctx, custody.Query{SessionID: "s", Limit: 9}) {
		must(t, err)
		if n++; e.Index != n {
			t.Fatalf("entry %d, want %d", e.Index, n)
		}
		switch n {
		case 3:
			record(1)
		case 4: // while it waits
			s.stop()
			s.start()
			record(2)
		case 6: // with something that was recorded while it was away
			s.stop()
			s.start()
			record(3)
		}
	}
	if n != 9 {
		t.Errorf("%d entries", n)
	}
}

func TestSubscribeEnds(t *testing.T) {
	s := newSite(t)
	c := s.open(nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Subscribe(ctx, custody.Query{}) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("cancelled: %v", last)
	}
	reader := s.open(&Options{Token: s.reader})
	for _, err := range reader.Subscribe(t.Context(), custody.Query{AgentID: "a"}) {
		if last = err; err == nil {
			t.Fatal("an entry")
		}
	}
	if p := asProblem(last); p == nil || p.Code != "forbidden" {
		t.Errorf("forbidden: %v", last)
	}
}

// A connection over which nothing comes is taken for dead, and made anew.
func TestSubscriptionIsSilent(t *testing.T) {
	s := newSite(t)
	var streams atomic.Int64
	s.restart(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/stream") && streams.Add(1) == 1 {
				w.WriteHeader(200)
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	c := s.open(nil)
	c.conn.silence = 50 * time.Millisecond
	for _, err := range c.Subscribe(t.Context(), custody.Query{Limit: 1}) {
		must(t, err)
	}
	if streams.Load() != 2 {
		t.Errorf("%d streams", streams.Load())
	}
}

// counted yields n events, and kills the server when some are sent.
func counted(n int, at func(i int)) iter.Seq[event.Event] {
	return func(yield func(event.Event) bool) {
		for i := range n {
			at(i)
			if !yield(turn("n-"+strconv.Itoa(i), "s")) {
				return
			}
		}
	}
}

func TestRecordEach(t *testing.T) {
	s := newSite(t)
	c := s.open(nil)
	_, err := c.Record(t.Context(), turn("n-2", "another"))
	must(t, err)
	events := func(yield func(event.Event) bool) {
		for i, e := range []event.Event{turn("n-0", "s"), turn("", "s"), turn("n-2", "s"), {Type: event.TurnEnded, Details: map[string]any{"x": make(chan int)}}, turn("n-4", "s")} {
			if i == 3 && e.ID != "" || !yield(e) {
				return
			}
		}
	}
	var got []string
	i := 0
	for r, err := range c.RecordEach(t.Context(), events) {
		var refused *custody.BatchError
		var field *event.FieldError
		switch {
		case err == nil:
			got = append(got, "recorded")
			if e, err := c.Entry(t.Context(), r.Index); err != nil || e.Hash != r.Hash {
				t.Errorf("event %d: %+v, %v", i, e, err)
			}
		case !errors.As(err, &refused) || refused.Position != i:
			t.Fatalf("event %d: %v", i, err)
		case errors.Is(err, custody.ErrConflict):
			got = append(got, "conflict")
		case errors.As(err, &field):
			got = append(got, "no JSON")
		}
		i++
	}
	if want := "recorded recorded conflict no JSON recorded"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	for range c.RecordEach(t.Context(), counted(1000, func(int) {})) {
		break // whoever has enough gets no more
	}
	for range c.RecordEach(t.Context(), counted(0, nil)) {
		t.Error("a result of nothing")
	}
}

// The server is killed in the middle of a stream, twice: each event is recorded once,
// and answered once.
func TestStreamBreaksOff(t *testing.T) {
	s := newSite(t)
	c := s.open(nil)
	const n = 3000
	var answered atomic.Int64
	i := 0
	kill := make(chan struct{}, 2)
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		for range kill {
			s.stop()
			s.start()
		}
	}()
	for r, err := range c.RecordEach(t.Context(), counted(n, func(int) {})) {
		must(t, err)
		if want := "n-" + strconv.Itoa(i); r.ID != want {
			t.Fatalf("receipt of %s, want %s", r.ID, want)
		}
		if i++; i == n/10 || i == n/2 {
			kill <- struct{}{}
		}
		answered.Add(1)
	}
	close(kill)
	<-dead
	if i != n {
		t.Errorf("%d receipts, want %d", i, n)
	}
	ids := map[string]bool{}
	for _, e := range collect(t, s.trail().Entries(t.Context(), custody.Query{SessionID: "s"})) {
		ev, err := e.Event()
		must(t, err)
		if ids[ev.ID] {
			t.Errorf("%s is there twice", ev.ID)
		}
		ids[ev.ID] = true
	}
	if len(ids) != n {
		t.Errorf("%d events, want %d", len(ids), n)
	}
}

// A batch that is too large for one request goes in parts.
func TestLargeBatch(t *testing.T) {
	s := newSite(t)
	c := s.open(nil)
	c.conn.batch = 15
	events := make([]event.Event, 40)
	for i := range events {
		events[i] = turn("l-"+strconv.Itoa(i), "s")
	}
	_, err := c.Record(t.Context(), turn("taken", "another"))
	must(t, err)
	events[39].ID = "taken"
	// One by one, those before the one that is refused are recorded, once.
	receipts, err := recording.Record(t.Context(), c, events)
	if !errors.Is(err, custody.ErrConflict) || len(receipts) != 39 {
		t.Fatalf("%v, %d receipts", err, len(receipts))
	}
	for i := range receipts {
		if receipts[i].ID != events[i].ID || receipts[i].Duplicate {
			t.Fatalf("receipt %d is of %s, duplicate %v", i, receipts[i].ID, receipts[i].Duplicate)
		}
	}
	receipts, err = c.RecordBatch(t.Context(), events)
	var refused *custody.BatchError
	if !errors.As(err, &refused) || refused.Position != 39 || !errors.Is(err, custody.ErrConflict) || len(receipts) != 30 {
		t.Fatalf("%v, %d receipts", err, len(receipts))
	}
	large := make([]outgoing, 3)
	for i := range large {
		large[i].text = make([]byte, 7<<20)
	}
	if n := len(part(large, maxBatch)); n != 2 {
		t.Errorf("of %d bytes each, %d are sent at once", 7<<20, n)
	}
	large[0].text = make([]byte, 17<<20)
	if n := len(part(large, maxBatch)); n != 1 {
		t.Errorf("%d are sent with one that is too large itself", n)
	}
}

// A server that lies is found out where that can be seen.
func TestServerLies(t *testing.T) {
	s := newSite(t)
	_, err := s.trail().RecordBatch(t.Context(), []event.Event{turn("t-1", "s-1"), turn("t-2", "s-2")})
	must(t, err)
	key := s.trail().FirstKey()
	var lie atomic.Pointer[[2]string]
	s.restart(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l := lie.Load()
			if l == nil {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			r.Header.Del("Accept-Encoding")
			next.ServeHTTP(rec, r)
			text := rec.Body.String()
			if !strings.Contains(text, l[0]) {
				t.Errorf("%s has no %q: %s", r.URL.Path, l[0], text)
			}
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			w.WriteHeader(rec.Code)
			io.WriteString(w, strings.ReplaceAll(text, l[0], l[1]))
		})
	})
	c := s.open(&Options{Keys: []string{key}, ProveReceipts: true})
	ctx := t.Context()
	e, err := c.Entry(ctx, 1)
	must(t, err)
	other, err := c.Entry(ctx, 2)
	must(t, err)
	checkpoint, err := c.Checkpoint(ctx)
	must(t, err)
	list := func() (err error) {
		for _, lerr := range c.Entries(ctx, custody.Query{From: 1}) {
			err = lerr
		}
		return err
	}
	one := func() error { _, err := c.Entry(ctx, 1); return err }
	for _, tt := range []struct {
		name, what, with string
		ask              func() error
	}{
		{"payload", `"session_id":"s-1"`, `"session_id":"s-9"`, one},
		{"payload of a list", `"session_id":"s-2"`, `"session_id":"s-9"`, list},
		{"type", `"type":"turn_ended"`, `"type":"action_denied"`, one},
		{"index", `"index":1,`, `"index":2,`, one},
		{"hash", e.Hash.String(), other.Hash.String(), one},
		{"time", `"time":"20`, `"time":"19`, one},
		{"the same entry twice", `"index":2`, `"index":1`, list},
		{"checkpoint", "example.org/default\n3\n", "example.org/default\n4\n", func() error { _, err := c.Checkpoint(ctx); return err }},
		{"another trail", "example.org/default\n", "example.org/payments\n", func() error { _, err := c.Checkpoint(ctx); return err }},
		{"proof", "index 1\n", "index 2\n", func() error { _, err := c.Prove(ctx, 1, custody.ProveOptions{Checkpoint: checkpoint}); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lie.Store(&[2]string{tt.what, tt.with})
			if err := tt.ask(); !errors.Is(err, custody.ErrAltered) {
				t.Errorf("%v", err)
			}
			lie.Store(nil)
			must(t, tt.ask())
		})
	}
}

// Without keys the name of the trail in a checkpoint is looked at all the same.
func TestCheckpointOfAnotherTrail(t *testing.T) {
	s := newSite(t)
	made, err := s.open(nil).Server().CreateTrail(t.Context(), "another")
	must(t, err)
	s.restart(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, "/default/checkpoint", "/another/checkpoint", 1)
			next.ServeHTTP(w, r)
		})
	})
	if _, err := s.open(nil).Checkpoint(t.Context()); !errors.Is(err, custody.ErrAltered) || !strings.Contains(err.Error(), made.Origin) {
		t.Errorf("%v", err)
	}
}

func TestProvenReceipts(t *testing.T) {
	s := newSite(t)
	c, ctx := s.open(&Options{ProveReceipts: true, Keys: []string{s.trail().FirstKey()}}), t.Context()
	r, err := c.Record(ctx, turn("t-1", "s"))
	must(t, err)
	if r.Proof == nil || r.Proof.Index != r.Index || string(r.Proof.Checkpoint) != string(r.Checkpoint) {
		t.Fatalf("proof %+v", r.Proof)
	}
	must(t, proves(r.Proof, &r))
	another, err := c.Record(ctx, turn("t-2", "s"))
	must(t, err)
	if err := proves(another.Proof, &r); !errors.Is(err, custody.ErrAltered) {
		t.Errorf("a proof of another entry: %v", err)
	}
	another.ID = "t-3"
	if err := proves(another.Proof, &another); !errors.Is(err, custody.ErrAltered) {
		t.Errorf("a proof of another event: %v", err)
	}
}
