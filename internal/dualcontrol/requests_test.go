package dualcontrol

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
	"github.com/custodylog/custody/retention"
)

// office is a file of requests with a clock.
type office struct {
	t    *testing.T
	fsys vfs.FS
	now  time.Time
	*Requests
	told []Request
}

func newOffice(t *testing.T, fsys vfs.FS) *office {
	t.Helper()
	o := &office{t: t, fsys: fsys, now: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)}
	o.reopen()
	return o
}

const inFile = "data/requests.json"

func (o *office) reopen() {
	o.t.Helper()
	var err error
	if o.Requests, err = Open(o.fsys, inFile, Rules{Delay: time.Hour, Expires: 24 * time.Hour, Now: func() time.Time { return o.now }}); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) tell(r *Request) error {
	o.told = append(o.told, *r)
	return nil
}

func (o *office) add(by, parameters string) Request {
	o.t.Helper()
	r, err := o.Add(Request{Kind: Erasure, Trail: "default", Parameters: json.RawMessage(parameters), By: by, ByPerson: holder(by).Person.Line()}, o.tell)
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

func (o *office) content() string {
	o.t.Helper()
	b, err := vfs.ReadFile(o.fsys, inFile, maxFile)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(b)
}

// want checks the state of a request, in the file too.
func (o *office) want(id string, s State) Request {
	o.t.Helper()
	o.reopen()
	r, err := o.Get(id)
	if err != nil || r.State != s {
		o.t.Fatalf("%+v, %v; want %s", r, err, s)
	}
	return r
}

func ignore(*Request) error { return nil }

// holder is whoever has the API token with a name, which somebody made long ago.
func holder(name string) *auth.Principal {
	return &auth.Principal{Name: name, Person: &auth.Person{ID: "token_id:" + name, Made: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), MadeBy: "operator"}}
}

const alice = `{"query":{"user_id":"alice@example.com <é&\u2028>"}}`

func TestLifeOfARequest(t *testing.T) {
	o := newOffice(t, vfstest.NewMem())
	r := o.add("token:a", alice)
	o.want(r.ID, Pending)
	if !strings.HasPrefix(r.Digest, "sha256:") || string(r.Parameters) != alice {
		t.Errorf("%+v", r)
	}
	if again := o.add("token:a", " "+alice+"\n"); again.ID != r.ID {
		t.Error("asking for the same again is another request")
	}
	if other := o.add("token:b", alice); other.ID == r.ID || other.Digest == r.Digest {
		t.Error("somebody else who asks for the same gets the same, or the same digest")
	}
	if _, err := o.Approve(r.ID, holder("token:a"), ignore); !errors.Is(err, ErrSamePerson) {
		t.Errorf("whoever asked approves: %v", err)
	}
	if _, err := o.Begin(r.ID); !errors.Is(err, ErrState) {
		t.Errorf("it is begun before it is approved: %v", err)
	}
	if _, err := o.Approve(r.ID, holder("token:b"), o.tell); err != nil {
		t.Fatal(err)
	}
	approved := o.want(r.ID, Approved)
	if !approved.NotBefore.Equal(o.now.Add(time.Hour)) || approved.DecidedBy != "token:b" {
		t.Errorf("%+v", approved)
	}
	if _, err := o.Approve(r.ID, holder("token:c"), ignore); !errors.Is(err, ErrState) {
		t.Errorf("it is approved twice: %v", err)
	}
	o.now = o.now.Add(time.Hour - time.Second)
	if due, wait := o.Due(); len(due) > 0 || wait != time.Second {
		t.Errorf("due: %v, %v", due, wait)
	}
	if _, err := o.Begin(r.ID); !errors.Is(err, ErrState) {
		t.Errorf("it is begun before its time: %v", err)
	}
	o.now = o.now.Add(time.Second)
	if due, _ := o.Due(); len(due) != 1 || due[0].ID != r.ID {
		t.Errorf("due: %v", due)
	}
	begun, err := o.Begin(r.ID)
	if err != nil || !begun.Begun.Equal(o.now) {
		t.Fatalf("%+v, %v", begun, err)
	}
	// A server that is killed meanwhile goes on as of then.
	o.now = o.now.Add(time.Minute)
	o.want(r.ID, Approved)
	if again, err := o.Begin(r.ID); err != nil || !again.Begun.Equal(begun.Begun) {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := o.Refuse(r.ID, "token:c", ignore); !errors.Is(err, ErrState) {
		t.Errorf("it is refused while it is done: %v", err)
	}
	if !strings.Contains(o.content(), "alice@example.com") {
		t.Error("the file does not say what is asked for")
	}
	if _, err := o.Executed(r.ID); err != nil {
		t.Fatal(err)
	}
	if done := o.want(r.ID, Executed); done.Parameters != nil || done.Salt != nil || done.Digest != r.Digest || done.Ended.IsZero() {
		t.Errorf("%+v", done)
	}
	if due, _ := o.Due(); len(due) > 0 {
		t.Errorf("due: %v", due)
	}
	if n := len(o.told); n != 3 || o.told[2].State != Approved {
		t.Errorf("told of %+v", o.told)
	}
}

// However a request ends, nothing of what it asks for is left in the file.
func TestEnds(t *testing.T) {
	approve := func(o *office, id string) error { _, err := o.Approve(id, holder("token:b"), ignore); return err }
	refuse := func(o *office, id string) error { _, err := o.Refuse(id, "token:c", ignore); return err }
	for _, tt := range []struct {
		state State
		end   func(*office, string) error
	}{
		{Refused, refuse},
		{Withdrawn, func(o *office, id string) error { _, err := o.Withdraw(id, "token:a", "", ignore); return err }},
		{Refused, func(o *office, id string) error { return errors.Join(approve(o, id), refuse(o, id)) }},
		{Expired, func(o *office, id string) error {
			o.now = o.now.Add(24 * time.Hour)
			if err := approve(o, id); !errors.Is(err, ErrState) {
				return fmt.Errorf("it is approved too late: %w", err)
			}
			return o.Expire(ignore)
		}},
		{Failed, func(o *office, id string) error { _, err := o.Failed(id, "held", ignore); return err }},
	} {
		t.Run(string(tt.state), func(t *testing.T) {
			o := newOffice(t, vfstest.NewMem())
			r := o.add("token:a", alice)
			if err := tt.end(o, r.ID); err != nil {
				t.Fatal(err)
			}
			o.want(r.ID, tt.state)
			if strings.Contains(o.content(), "alice") || strings.Contains(o.content(), "salt") {
				t.Errorf("the file has\n%s", o.content())
			}
			if _, err := o.Refuse(r.ID, "token:b", ignore); !errors.Is(err, ErrState) {
				t.Errorf("it is refused after its end: %v", err)
			}
		})
	}
}

// What cannot be told, or written, does not happen.
func TestNothingHalf(t *testing.T) {
	errTest := errors.New("test")
	failing := false
	o := newOffice(t, vfstest.Inject(vfstest.NewMem(), func(op vfstest.Op) vfstest.Fault {
		if failing && op.Kind == vfstest.Rename {
			return vfstest.Fail
		}
		return vfstest.None
	}))
	r := o.add("token:a", alice)
	before := o.content()
	unable := func(*Request) error { return errTest }
	if _, err := o.Approve(r.ID, holder("token:b"), unable); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	if _, err := o.Add(Request{Kind: Erasure, Parameters: []byte(`1`), By: "token:a"}, unable); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	failing = true
	if _, err := o.Approve(r.ID, holder("token:b"), ignore); !errors.Is(err, vfstest.ErrInjected) {
		t.Errorf("got %v", err)
	}
	if got, err := o.Get(r.ID); err != nil || got.State != Pending || len(o.List()) != 1 || o.content() != before {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBounds(t *testing.T) {
	o := newOffice(t, vfstest.NewMem())
	if _, err := o.Add(Request{Kind: Erasure, By: "token:a", Parameters: []byte(`"` + strings.Repeat("x", maxAsked) + `"`)}, ignore); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	for i := range maxOpen {
		o.add("token:a", fmt.Sprint(i))
	}
	if _, err := o.Add(Request{Kind: Erasure, By: "token:a", Parameters: []byte(`"one more"`)}, ignore); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v", err)
	}
	if _, err := o.Get("0123456789abcdef"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	// What is over is forgotten some time.
	f := &file{Format: format}
	for i := range keptEnded + 5 {
		f.Requests = append(f.Requests, &Request{ID: fmt.Sprintf("%016x", i), State: Refused})
	}
	f.Requests = append(f.Requests, &Request{ID: "open", State: Pending})
	if _, err := f.encode(); err != nil || len(f.Requests) != keptEnded+1 || f.Requests[0].ID != fmt.Sprintf("%016x", 5) || f.Requests[keptEnded].ID != "open" {
		t.Errorf("%d are kept, from %s, %v", len(f.Requests), f.Requests[0].ID, err)
	}
}

func TestSchedule(t *testing.T) {
	o := newOffice(t, vfstest.NewMem())
	policy := func(days int) retention.Policy {
		return retention.Policy{Name: "p", Payloads: retention.Period{Days: days}}
	}
	lengthen := func(days int, want bool) {
		t.Helper()
		if ok, err := o.Lengthen(policy(days)); ok != want || err != nil {
			t.Errorf("%d days: %v, %v", days, ok, err)
		}
	}
	lengthen(400, false) // before, nothing was removed
	if o.Schedule() != nil {
		t.Error("a policy is in force that nobody approved")
	}
	text, err := json.Marshal(policy(400))
	if err != nil {
		t.Fatal(err)
	}
	r := o.add("configuration", string(text))
	if _, err := o.Adopt(r.ID, policy(400)); !errors.Is(err, ErrState) {
		t.Errorf("it is adopted before it is approved: %v", err)
	}
	if _, err := o.Approve(r.ID, holder("token:b"), ignore); err != nil {
		t.Fatal(err)
	}
	o.now = o.now.Add(time.Hour)
	if _, err := o.Begin(r.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Adopt(r.ID, policy(400)); err != nil {
		t.Fatal(err)
	}
	o.want(r.ID, Executed)
	if s := o.Schedule(); s == nil || s.Policy.Payloads.Days != 400 || s.ApprovedBy != "token:b" || s.Request != r.ID {
		t.Errorf("%+v", s)
	}
	lengthen(400, true)
	lengthen(399, false)
	lengthen(500, true)
	o.reopen()
	if s := o.Schedule(); s.Policy.Payloads.Days != 500 || s.ApprovedBy != "" {
		t.Errorf("%+v", s)
	}
	lengthen(400, false)
}

// A file that is damaged, or that somebody has changed, is an error that says how.
func TestDamagedFile(t *testing.T) {
	o := newOffice(t, vfstest.NewMem())
	r := o.add("token:a", alice)
	pending := o.content()
	if _, err := o.Approve(r.ID, holder("token:b"), ignore); err != nil {
		t.Fatal(err)
	}
	approved := o.content()
	if _, err := parse([]byte(approved)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, content, old, new, want string }{
		{"cut off", approved[:len(approved)-20], "", "", "line "},
		{"empty", "", "", "", "unexpected end"},
		{"a newer format", pending, `"format": 2`, `"format": 3`, "a newer version of this program wrote it"},
		{"no format", pending, `"format": 2`, `"format": 0`, "format: 0; expected 1 to 2"},
		{"an unknown member", pending, `"format": 2`, `"format": 2, "x": 1`, `"x"`},
		{"something behind it", pending + "{}", "", "", "line 26: invalid character"},
		{"another person is meant", pending, "alice", "bobby", "somebody has changed one of them"},
		{"another trail", pending, `"trail": "default"`, `"trail": "payments"`, "somebody has changed one of them"},
		{"it approves itself", approved, `"decided_by": "token:b"`, `"decided_by": "token:a"`, "whoever asked for it has approved it"},
		{"the same person approves it", approved, `"token_id:token:b"`, `"token_id:token:a"`, "whoever asked for it has approved it"},
		{"approved by a change of the state", pending, `"state": "pending"`, `"state": "approved"`, "decided_by or not_before is missing"},
		{"approved by itself, and older", strings.ReplaceAll(approved, `"format": 2`, `"format": 1`), `"decided_by": "token:b"`, `"decided_by": "token:a"`, "whoever asked for it has approved it"},
		{"an unknown state", pending, `"state": "pending"`, `"state": "done"`, `state: there is no "done"`},
		{"an unknown kind", pending, `"kind": "erasure"`, `"kind": "all"`, `kind: there is no "all"`},
		{"another id", pending, r.ID, "x", "hexadecimal"},
		{"a null", pending, `"requests": [`, `"requests": [null,`, "request 1: it is null"},
		{"no time", pending, `"requested": "2026-11-25T10:00:00Z"`, `"requested": "now"`, "now"},
		{"a policy that is none", pending, `"format": 2`, `"format": 2, "schedule": {"policy": {"name": "p", "payloads": "1d", "rules": [{"name": "r", "payloads": "1d"}]}, "since": "2026-11-25T10:00:00Z"}`, "it is for no events"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.old != "" && strings.Count(tt.content, tt.old) == 0 {
				t.Fatalf("there is no %q in\n%s", tt.old, tt.content)
			}
			fsys := vfstest.NewMem()
			if err := errors.Join(fsys.MkdirAll(filepath.Dir(inFile)), vfs.WriteFileAtomic(fsys, inFile, []byte(strings.ReplaceAll(tt.content, tt.old, tt.new)))); err != nil {
				t.Fatal(err)
			}
			_, err := Open(fsys, inFile, Rules{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), inFile) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"format":1,"requests":[]}`))
	f.Add([]byte(`{"format":1,"schedule":{"policy":{"name":"p","payloads":"400d"},"since":"2026-11-25T10:00:00Z"},"requests":[{"id":"0123456789abcdef","kind":"erasure","state":"refused","digest":"","by":"a","requested":"2026-11-25T10:00:00Z","expires":"2026-11-26T10:00:00Z","ended":"2026-11-25T11:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		first, err := parse(content)
		if err != nil {
			return
		}
		text, err := first.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(text)
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, text)
		}
		if len(again.Requests) != len(first.Requests) {
			t.Errorf("%d requests became %d", len(first.Requests), len(again.Requests))
		}
	})
}
