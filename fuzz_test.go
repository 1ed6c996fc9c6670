package custody

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// FuzzRecord sends whatever a producer may send through everything: decoded,
// recorded, read, found by each of its fields, and verified. What comes out is
// what the packages that decode and redact say that goes in.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		`{"event_type":"action_denied","agent_id":"a","action_id":"x","session_id":"s","decision":"deny","details":{"tool_name":"Bash","reasons":["no"]}}`,
		`{"type":"EMERGENCY_STOP","user_id":"u","details":{"affected_agents":["a","b",1],"stop_type":"global","password":"p"}}`,
		`{"id":"1","event_type":"turn_ended","timestamp":"2026-01-01T00:00:00Z","details":{"n":[1.50,-0,1e21],"token":{"x":["y"]}}}`,
		`{"event_type":"Not A Type","decision":"ask","trace_id":"x","source_seq":7,"details":{"api_key":"{\"a\":1}"}}`,
		`{"event_type":"key_rotated","details":{"statement":"none"}}`, `{"event_type":"log_opened","details":{"key":"none"}}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	for _, h := range helpers[:3] {
		trail := onMem(f, Options{})
		r := get(h.call(f.Context(), trail))(f)
		f.Add(get(trail.Entry(f.Context(), r.Index))(f).Payload)
		must(f, trail.Close())
	}
	opts := Options{Principal: "fuzz", MaxPayload: 1 << 16, Signer: newKey(f), Logger: quiet}
	var trail *Trail
	f.Fuzz(func(t *testing.T, b []byte) {
		if trail == nil || trail.Size() > 500 {
			if trail != nil {
				wantClean(t, trail)
				must(t, trail.Close())
			}
			opts.fs = vfstest.NewMem()
			get(Create("trail", CreateOptions{Origin: origin, Signer: opts.Signer, fs: opts.fs}))(t)
			trail = get(Open("trail", &opts))(t)
		}
		e, notes, err := event.Decode(b)
		if err != nil {
			return
		}
		e.Defects = append(e.Defects, notes...)
		before, _ := e.AppendPayload(nil)
		size := trail.Size()
		r, err := trail.Record(t.Context(), e)
		if after, _ := e.AppendPayload(nil); !bytes.Equal(before, after) {
			t.Fatalf("the event was changed from %s to %s", before, after)
		}
		var large *PayloadSizeError
		var field *event.FieldError
		switch {
		case errors.As(err, &large), errors.As(err, &field), errors.Is(err, ErrConflict):
			if trail.Size() != size {
				t.Fatalf("refused (%v), and recorded", err)
			}
			return
		case err != nil:
			t.Fatal(err)
		case r.Duplicate:
			return
		}

		entry := get(trail.Entry(t.Context(), r.Index))(t)
		stored := get(entry.Event())(t)
		want := e
		want.Principal = "fuzz"
		if want.ID == "" || len(want.ID) > event.MaxIDLen {
			if len(r.ID) != idLen {
				t.Fatalf("the new id is %q", r.ID)
			}
		}
		if want.Timestamp.IsZero() {
			if d := time.Since(stored.Timestamp); d < -time.Minute || d > time.Hour {
				t.Fatalf("the timestamp is %v", stored.Timestamp)
			}
			want.Timestamp = stored.Timestamp
		}
		want = get(trail.opts.Redactor.Redact(want).Normalize(event.Lenient))(t)
		want.ID = r.ID
		payload := get(want.AppendPayload(nil))(t)
		if !bytes.Equal(entry.Payload, payload) {
			t.Fatalf("stored is\n%s\nwant\n%s", entry.Payload, payload)
		}
		if again := get(stored.AppendPayload(nil))(t); !bytes.Equal(again, entry.Payload) {
			t.Fatalf("stored is\n%s\nread and written\n%s", entry.Payload, again)
		}

		stored.VisitFields(func(field event.Field, value string) {
			q := Query{From: r.Index, To: r.Index + 1}
			switch field {
			case event.FieldType:
				q.Types = []event.Type{event.Type(value)}
			case event.FieldAgent:
				q.AgentID = value
			case event.FieldAction:
				q.ActionID = value
			case event.FieldProject:
				q.ProjectID = value
			case event.FieldSession:
				q.SessionID = value
			case event.FieldUser:
				q.UserID = value
			case event.FieldDecision:
				q.Decision = event.Decision(value)
			case event.FieldCorrelation:
				q.CorrelationID = value
			case event.FieldID:
				if byID := get(trail.EntryByID(t.Context(), value))(t); byID.Index != r.Index {
					t.Fatalf("id %q is entry %d, not %d", value, byID.Index, r.Index)
				}
			}
			if got := all(t, trail, q); len(got) != 1 {
				t.Fatalf("%+v finds %d entries", q, len(got))
			}
		})
		if again := get(trail.Record(t.Context(), stored))(t); !again.Duplicate || again.Index != r.Index {
			t.Fatalf("recording what was read again gives %+v", again)
		}
	})
}
