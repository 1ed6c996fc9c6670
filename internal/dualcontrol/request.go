package dualcontrol

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind is what a request asks for.
type Kind string

// The kinds, as the details of event.RemovalRequested have them.
const (
	Erasure   Kind = "erasure"
	Retention Kind = "retention"
)

// State is what has become of a request.
type State string

// The states. After the first two nothing more comes of a request.
const (
	Pending   State = "pending"   // nobody has decided
	Approved  State = "approved"  // it is done when its time has come
	Refused   State = "refused"   // somebody said no
	Withdrawn State = "withdrawn" // whoever asked did
	Expired   State = "expired"   // nobody approved it in time
	Executed  State = "executed"
	Failed    State = "failed" // it could not be done, and is not tried again
)

// Open reports whether something may still come of the request.
func (s State) Open() bool { return s == Pending || s == Approved }

// Request is what one person asks for and another one has to approve.
type Request struct {
	ID    string `json:"id" doc:"Joins what is told of it"`
	Kind  Kind   `json:"kind" enum:"erasure,retention" doc:"What is to be done"`
	Trail string `json:"trail,omitempty" doc:"On which trail; left out: it is about the policy of the configuration, which is for all"`
	State State  `json:"state" enum:"pending,approved,refused,withdrawn,expired,executed,failed" doc:"What has become of it"`

	// Parameters and Salt are there while the request is open.
	Parameters json.RawMessage `json:"parameters,omitempty" doc:"What is asked for, while that is open"`
	Salt       []byte          `json:"salt,omitempty" doc:"What digest was made with, while it is open"`
	Digest     string          `json:"digest" doc:"Digest of what is asked for, as the events of the trail system have it (docs/format/requests.md)"`

	By        string    `json:"by" doc:"Who asked for it"`
	ByPerson  []string  `json:"by_person,omitempty" doc:"The person who that is and, of an API token, who else may have it since they made it (docs/server.md); left out: nobody in particular"`
	Requested time.Time `json:"requested"`
	Expires   time.Time `json:"expires" doc:"Until when it can be approved"`

	DecidedBy       string    `json:"decided_by,omitempty" doc:"Who approved, refused or withdrew it"`
	DecidedByPerson []string  `json:"decided_by_person,omitempty" doc:"As by_person"`
	Decided         time.Time `json:"decided,omitzero"`
	NotBefore       time.Time `json:"not_before,omitzero" doc:"Of one that was approved: before then it is not done, and can be refused or withdrawn"`

	// Begun is when it was begun to be done: what is done is as of then, however
	// often it takes.
	Begun time.Time `json:"begun,omitzero" doc:"When it was begun to be done"`
	Ended time.Time `json:"ended,omitzero" doc:"Since when nothing more comes of it"`
	Note  string    `json:"note,omitempty" doc:"Of one that failed or that the server withdrew: why"`
}

// Errors that callers branch on. They are always wrapped.
var (
	ErrNotFound   = errors.New("there is no such request")
	ErrState      = errors.New("that cannot be done to the request any more")
	ErrSamePerson = errors.New("it takes a second person")
	ErrTooMany    = errors.New("too many requests are open")
	ErrTooLarge   = errors.New("the request is too large")
)

// digest returns "sha256:" and, in hexadecimal,
//
//	SHA-256("custody removal request v1\n" || salt || kind "\n" trail "\n" parameters)
//
// Without the salt nobody finds out by trying whom a request named.
func (r *Request) digest() string {
	h := sha256.New()
	h.Write([]byte("custody removal request v1\n"))
	h.Write(r.Salt)
	fmt.Fprintf(h, "%s\n%s\n%s", r.Kind, r.Trail, r.Parameters)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

const (
	idLen   = 16 // hexadecimal digits
	saltLen = 16 // bytes
)

func newID() string {
	var b [idLen / 2]byte
	rand.Read(b[:]) // it does not fail
	return hex.EncodeToString(b[:])
}

func newSalt() []byte {
	b := make([]byte, saltLen)
	rand.Read(b) // it does not fail
	return b
}

// decide notes who decided what.
func (r *Request) decide(s State, by string, now time.Time) {
	r.State, r.DecidedBy, r.Decided = s, by, now
	if !s.Open() {
		r.end(s, now)
	}
}

// asked reports whether somebody is who asked, as far as can be told: they have the same
// name, are the same person, or one has made the API token of the other.
func (r *Request) asked(name string, person []string) bool {
	return name == r.By ||
		len(person) > 0 && slices.Contains(r.ByPerson, person[0]) || slices.Contains(r.ByPerson, name) ||
		len(r.ByPerson) > 0 && slices.Contains(person, r.ByPerson[0]) || slices.Contains(person, r.By)
}

// end takes out what nobody needs any more.
func (r *Request) end(s State, now time.Time) {
	r.State, r.Ended, r.Parameters, r.Salt = s, now, nil, nil
}

// check returns what is wrong with a request that was read.
func (r *Request) check() error {
	if b, err := hex.DecodeString(r.ID); err != nil || len(b) != idLen/2 {
		return fmt.Errorf("id: expected %d hexadecimal digits", idLen)
	}
	switch r.Kind {
	case Erasure, Retention:
	default:
		return fmt.Errorf("kind: there is no %.40q", r.Kind)
	}
	switch r.State {
	case Pending, Approved, Refused, Withdrawn, Expired, Executed, Failed:
	default:
		return fmt.Errorf("state: there is no %.40q", r.State)
	}
	switch {
	case r.By == "":
		return errors.New("by: it is missing")
	case r.Requested.IsZero() || r.Expires.IsZero():
		return errors.New("requested and expires: one of them is missing")
	case r.State == Approved && (r.DecidedBy == "" || r.NotBefore.IsZero()):
		return errors.New("it is approved, and decided_by or not_before is missing")
	case r.State == Approved && r.asked(r.DecidedBy, r.DecidedByPerson):
		return errors.New("whoever asked for it has approved it")
	case r.State != Approved && r.State.Open() && !r.Begun.IsZero():
		return errors.New("it was begun, and nobody approved it")
	case r.State.Open() != (r.Ended.IsZero()):
		return errors.New("ended: it is there and should not be, or the other way round")
	case r.State.Open() != (len(r.Parameters) > 0) || r.State.Open() != (len(r.Salt) == saltLen):
		return errors.New("parameters and salt: they are there and should not be, or the other way round")
	case r.State.Open() && r.digest() != r.Digest:
		return errors.New("digest: it is not that of what is asked for, so somebody has changed one of them")
	}
	return nil
}
