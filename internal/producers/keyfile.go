package producers

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/statefile"
)

// The file of keys is described in docs/producers.md.
const (
	keyFormat  = 1
	maxKeyFile = 4 << 20 // bytes
	maxBounds  = 1000    // principals or agents of one key
)

// Key is the key of a producer, as it was enrolled. What the newest key of a producer
// says of principals, agents and signing holds for the producer, even when that key was
// revoked.
type Key struct {
	ID   string `json:"key_id"` // eight hex digits
	VKey string `json:"vkey"`   // verifier key (C2SP signed-note); its name is the producer's

	// Principals are those that may send what the producer signs; empty: any.
	Principals []string `json:"principals,omitempty"`
	// Agents are those that the producer acts for: it signs for no others, and nobody
	// else signs for them. Empty: any.
	Agents []string `json:"agents,omitempty"`
	// MustSign refuses unsigned events of Agents and from Principals.
	MustSign bool `json:"must_sign,omitempty"`

	Enrolled   time.Time `json:"enrolled"`
	EnrolledBy string    `json:"enrolled_by"`
	Revoked    time.Time `json:"revoked,omitzero"`
	RevokedBy  string    `json:"revoked_by,omitempty"`
	Reason     string    `json:"reason,omitempty"` // why it was revoked
}

// Producer returns the name of the producer.
func (k *Key) Producer() string {
	name, _, _ := strings.Cut(k.VKey, "+")
	return name
}

// keyFile is the content of the file.
type keyFile struct {
	Format int   `json:"format"`
	Keys   []Key `json:"keys"` // the oldest first
}

// parseKeyFile reads the content of a file. Without any, there are no keys.
func parseKeyFile(content []byte) (*keyFile, error) {
	if content == nil {
		return &keyFile{Format: keyFormat}, nil
	}
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("it has %d bytes, more than the %d it may have", len(content), maxKeyFile)
	}
	var f keyFile
	if err := statefile.Decode(content, keyFormat, &f); err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for i := range f.Keys {
		k := &f.Keys[i]
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("key %d (key_id %.40q): %w", i+1, k.ID, err)
		}
		if ids[k.ID] {
			return nil, fmt.Errorf("key %d: another one has the key_id %s", i+1, k.ID)
		}
		ids[k.ID] = true
	}
	return &f, nil
}

// encode returns the content of the file.
func (f *keyFile) encode() ([]byte, error) {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	if len(b) >= maxKeyFile {
		return nil, fmt.Errorf("it would have %d bytes, more than the %d it may have", len(b)+1, maxKeyFile)
	}
	return append(b, '\n'), nil
}

// find returns the key that has an id, or nil.
func (f *keyFile) find(id string) *Key {
	i := slices.IndexFunc(f.Keys, func(k Key) bool { return k.ID == id })
	if i < 0 {
		return nil
	}
	return &f.Keys[i]
}

// check returns what is wrong with a key.
func (k *Key) check() error {
	v, err := k.verifier()
	if err != nil {
		return fmt.Errorf("vkey: %w", err)
	}
	if k.ID != evidence.KeyID(v.KeyHash()) {
		return fmt.Errorf("key_id: the vkey has the id %s", evidence.KeyID(v.KeyHash()))
	}
	for name, list := range map[string][]string{"principals": k.Principals, "agents": k.Agents} {
		if len(list) > maxBounds {
			return fmt.Errorf("%s: there are %d, more than %d", name, len(list), maxBounds)
		}
		for _, s := range list {
			if err := checkText(s); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if k.MustSign && len(k.Principals) == 0 && len(k.Agents) == 0 {
		return errors.New("must_sign: name the principals or the agents whose events have to be signed")
	}
	if k.Enrolled.IsZero() {
		return errors.New("enrolled: it is missing")
	}
	if err := checkText(k.EnrolledBy); err != nil {
		return fmt.Errorf("enrolled_by: %w", err)
	}
	if k.Revoked.IsZero() != (k.RevokedBy == "") {
		return errors.New("revoked and revoked_by: there is one without the other")
	}
	for name, s := range map[string]string{"revoked_by": k.RevokedBy, "reason": k.Reason} {
		if s == "" {
			continue
		}
		if err := checkText(s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// verifier returns the key that checks signatures.
func (k *Key) verifier() (note.Verifier, error) {
	v, err := evidence.ParseVerifier(k.VKey)
	if err != nil {
		return nil, err
	}
	return v, evidence.ValidOrigin(v.Name())
}

// checkText returns what is wrong with a name or a reason.
func checkText(s string) error {
	if s == "" || len(s) > event.MaxIDLen {
		return fmt.Errorf("%.40q has %d bytes; 1 to %d are allowed", s, len(s), event.MaxIDLen)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%.40q is not UTF-8 without control characters", s)
	}
	return nil
}

// clone returns a copy that shares nothing with k.
func (k *Key) clone() Key {
	c := *k
	c.Principals, c.Agents = slices.Clone(k.Principals), slices.Clone(k.Agents)
	return c
}

// Announcements returns the events that tell of keys: of each that it was enrolled and,
// where it was, that it was revoked. They are the same each time and have ids, so that a
// trail that they are recorded in has each once.
func Announcements(keys []Key) []event.Event {
	var events []event.Event
	for i := range keys {
		k := &keys[i]
		details := map[string]any{"producer": k.Producer(), "key_id": k.ID, "by": k.EnrolledBy, "vkey": k.VKey}
		if len(k.Principals) > 0 {
			details["principals"] = k.Principals
		}
		if len(k.Agents) > 0 {
			details["agents"] = k.Agents
		}
		if k.MustSign {
			details["must_sign"] = true
		}
		events = append(events, event.Event{ID: announced("enrolled", k.ID, k.Enrolled), Type: event.ProducerEnrolled, Timestamp: k.Enrolled, Details: details})
		if k.Revoked.IsZero() {
			continue
		}
		details = map[string]any{"producer": k.Producer(), "key_id": k.ID, "by": k.RevokedBy}
		if k.Reason != "" {
			details["reason"] = k.Reason
		}
		events = append(events, event.Event{ID: announced("revoked", k.ID, k.Revoked), Type: event.ProducerRevoked, Timestamp: k.Revoked, Details: details})
	}
	return events
}

// announced returns the id of an announcement. The time is in it since a key that was
// taken out of the file can be enrolled again, as something else.
func announced(what, key string, at time.Time) string {
	return "producer-" + what + "-" + key + at.UTC().Format("-20060102T150405Z")
}
