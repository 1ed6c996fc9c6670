package producers

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/event"
)

// known is what the file of keys says, as requests need it. It does not change.
type known struct {
	keys      []Key
	verifiers []note.Verifier
	byID      map[string]*Key
	producers map[string]*Key   // the newest key of each, by name
	agents    map[string][]*Key // producers that act for an agent
	senders   map[string][]*Key // producers that have to sign what a principal sends
}

func newKnown(keys []Key) *known {
	k := &known{keys: keys, byID: map[string]*Key{}, producers: map[string]*Key{}, agents: map[string][]*Key{}, senders: map[string][]*Key{}}
	for i := range keys {
		v, _ := keys[i].verifier() // was checked when the file was read
		k.verifiers = append(k.verifiers, v)
		k.byID[keys[i].ID] = &keys[i]
		k.producers[keys[i].Producer()] = &keys[i]
	}
	for i := range keys {
		p := &keys[i]
		if k.producers[p.Producer()] != p {
			continue
		}
		for _, agent := range p.Agents {
			k.agents[agent] = append(k.agents[agent], p)
		}
		for _, principal := range p.Principals {
			if p.MustSign {
				k.senders[principal] = append(k.senders[principal], p)
			}
		}
	}
	return k
}

// Refusal says why an event was refused for its signature, or for having none.
type Refusal struct {
	Detail string // what is wrong and what to do about it
	KeyID  string // of the key it is signed with, if it is known
}

func (r *Refusal) Error() string { return r.Detail }

// Admit decides whether an event may come in: text is the event as its sender sent it,
// e what was read of it. It returns nil for an unsigned event that need not be signed,
// and for one whose signature checks out and is that of a producer that may send it, in
// the name of its agent. Otherwise it returns a *[Refusal], or the error by which the
// keys could not be read.
func (k *Keys) Admit(sender string, e *event.Event, text []byte) error {
	known, err := k.current()
	if err != nil {
		return err
	}
	// A signature that is malformed was not read into e.
	if e.Signature == nil && !bytes.Contains(text, []byte(`"signature"`)) {
		return known.unsigned(sender, e)
	}
	checked, err := event.CheckSignature(text, known.verifiers...)
	switch {
	case errors.Is(err, event.ErrNotSigned):
		return known.unsigned(sender, e)
	case errors.Is(err, event.ErrUnknownKey):
		return &Refusal{Detail: err.Error() + "; an administrator enrolls it (custody producer enroll)"}
	case err != nil:
		return &Refusal{Detail: err.Error()}
	}
	key := known.byID[fmt.Sprintf("%08x", checked.Key.KeyHash())]
	return known.signed(sender, e, key, checked.Intact)
}

// signed decides about an event that a key signed.
func (k *known) signed(sender string, e *event.Event, key *Key, intact bool) error {
	refuse := func(format string, args ...any) error {
		return &Refusal{Detail: fmt.Sprintf(format, args...), KeyID: key.ID}
	}
	producer := k.producers[key.Producer()]
	owners := k.agents[e.AgentID]
	switch {
	case !key.Revoked.IsZero():
		return refuse("the event is signed with the key %s of %s, which was revoked at %s; sign with another one", key.ID, key.Producer(), key.Revoked.Format(time.RFC3339))
	case !intact:
		return refuse("the signature has no salt, so that nobody can see what was signed; send the event with the salt that it was signed with")
	case e.ID == "":
		return refuse("a signed event needs an id, so that nobody can have it recorded twice")
	case len(producer.Principals) > 0 && !slices.Contains(producer.Principals, sender):
		return refuse("the event is signed by %s, whose events %s may not send", key.Producer(), sender)
	case len(producer.Agents) > 0 && !slices.Contains(producer.Agents, e.AgentID):
		return refuse("the event is signed by %s, which does not act for agent %q", key.Producer(), e.AgentID)
	case len(owners) > 0 && !slices.Contains(owners, producer):
		return refuse("the event is signed by %s, but %s acts for agent %q", key.Producer(), owners[0].Producer(), e.AgentID)
	}
	return nil
}

// unsigned decides about an event without a signature.
func (k *known) unsigned(sender string, e *event.Event) error {
	for _, p := range k.agents[e.AgentID] {
		if p.MustSign {
			return &Refusal{Detail: fmt.Sprintf("events of agent %q have to be signed by %s, and this one is not", e.AgentID, p.Producer())}
		}
	}
	if must := k.senders[sender]; len(must) > 0 {
		return &Refusal{Detail: fmt.Sprintf("what %s sends has to be signed by %s, and this event is not", sender, must[0].Producer())}
	}
	return nil
}
