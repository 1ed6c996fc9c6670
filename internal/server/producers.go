package server

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/producers"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

// enrolled is the keys of producers, and which of them the trail system tells of.
type enrolled struct {
	keys *producers.Keys

	telling sync.Mutex      // held while events are recorded
	told    map[string]bool // guarded by telling; ids of those events
}

// watchProducers reads the keys of producers and follows every trail that producers
// record in.
func (s *Server) watchProducers(cfg producers.Config) (err error) {
	s.signers.told = map[string]bool{}
	if s.signers.keys, err = producers.OpenKeys(vfs.OS{}, filepath.Join(s.trails.Dir(), producers.KeysFile)); err != nil {
		return err
	}
	err = s.trails.Attend(func(t *trails.Trail) error {
		if t.Err != nil || t.Name == trails.System || s.stopped.Err() != nil {
			return nil
		}
		f, err := producers.Follow(t.Trail, vfs.OS{}, filepath.Join(s.trails.Dir(), producers.StateDir, t.Name+".json"), cfg, s.log)
		if err == nil {
			s.working.Go(func() { f.Run(s.stopped) })
		}
		return err
	})
	if err == nil {
		s.working.Go(s.tellKeys)
	}
	return err
}

// tellKeysEach is how long it takes at most until a key that the command line enrolled
// or revoked is in the trail system.
const tellKeysEach = time.Second

// tellKeys records which keys were enrolled and revoked, whoever did it.
func (s *Server) tellKeys() {
	tick := time.NewTicker(tellKeysEach)
	defer tick.Stop()
	failing := false
	for s.stopped.Err() == nil {
		err := s.announceKeys(context.WithoutCancel(s.stopped))
		if err != nil && !failing && !errors.Is(err, custody.ErrClosed) {
			s.log.Error("custody: what was enrolled is not recorded; it is tried again", "err", err)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-s.stopped.Done():
		}
	}
}

// announceKeys records what the trail system does not tell of the keys yet.
func (s *Server) announceKeys(ctx context.Context) error {
	keys, err := s.signers.keys.List()
	if err != nil {
		return err
	}
	t, err := s.trails.Get(trails.System)
	if err != nil {
		return err
	}
	s.signers.telling.Lock()
	defer s.signers.telling.Unlock()
	for _, e := range producers.Announcements(keys) {
		if s.signers.told[e.ID] {
			continue
		}
		e.Source = "server"
		// With a conflict it was recorded under other settings.
		if _, err := t.Record(custody.WithPrincipal(ctx, ""), e); err != nil && !errors.Is(err, custody.ErrConflict) {
			return err
		}
		s.signers.told[e.ID] = true
	}
	return nil
}

// admit refuses an event that its sender may not record, for its agent, its signature
// or for having none, and records that. text is the event as it was sent.
func (s *Server) admit(ctx context.Context, t *trails.Trail, e *event.Event, text []byte) error {
	if err := s.claims(ctx, t, e); err != nil {
		return err
	}
	err := s.signers.keys.Admit(sender(ctx), e, text)
	if err == nil {
		return nil
	}
	var refusal *producers.Refusal
	if !errors.As(err, &refusal) {
		p := newProblem(http.StatusServiceUnavailable, "unavailable", "it could not be found out which keys producers sign with; the log of the server says why").again(5)
		p.err = err
		return p
	}
	s.refused.add(refusedBy{sender(ctx), t.Name, codeSignature}, e.AgentID)
	fault := newProblem(http.StatusForbidden, "signature", "%s", refusal.Detail)
	fault.Errors = []Fault{{"body/signature", refusal.Detail}}
	return fault
}

// admitsUnsigned returns admit for what the server makes of what it was sent, which
// nobody can have signed: sightings, and the events of other formats.
func (s *Server) admitsUnsigned(ctx context.Context, t *trails.Trail) func(*event.Event) error {
	return func(e *event.Event) error { return s.admit(ctx, t, e, nil) }
}

// registerProducers serves
//
//	GET  /v1/producers
//	POST /v1/producers
//	POST /v1/producers/{key_id}/revoke
func (s *Server) registerProducers() {
	const all = "/v1/producers"
	operation(s, huma.Operation{OperationID: "listProducers", Method: http.MethodGet, Path: all, Tags: []string{"producers"},
		Summary: "List the keys that producers sign their events with, the oldest first", Errors: []int{403}}, s.listProducers)
	operation(s, huma.Operation{OperationID: "enrollProducer", Method: http.MethodPost, Path: all, Tags: []string{"producers"}, DefaultStatus: http.StatusCreated,
		Summary: "Make the key of a producer known", Description: "What its newest key says of principals, agents and signing holds for a producer.",
		Errors: []int{400, 403, 409, 415, 422, 503}}, s.enrollProducer)
	operation(s, huma.Operation{OperationID: "revokeProducer", Method: http.MethodPost, Path: all + "/{key_id}/revoke", Tags: []string{"producers"},
		Summary: "Take no more events that a key signed", Errors: []int{400, 403, 404, 415, 422, 503}}, s.revokeProducer)
}

// ProducerKey is the key of a producer.
type ProducerKey struct {
	KeyID      string     `json:"key_id" doc:"Id of the key, eight hex digits"`
	Producer   string     `json:"producer" doc:"Name of the producer"`
	VKey       string     `json:"vkey" doc:"Verifier key (C2SP signed-note)"`
	Principals []string   `json:"principals,omitempty" doc:"The only principals that may send what the producer signs"`
	Agents     []string   `json:"agents,omitempty" doc:"The only agents that the producer acts for, and nobody else"`
	MustSign   bool       `json:"must_sign,omitempty" doc:"Unsigned events of these agents and principals are refused"`
	Enrolled   time.Time  `json:"enrolled"`
	EnrolledBy string     `json:"enrolled_by"`
	Revoked    *time.Time `json:"revoked,omitempty"`
	RevokedBy  string     `json:"revoked_by,omitempty"`
	Reason     string     `json:"reason,omitempty" doc:"Why it was revoked"`
}

func producerKeyOf(k *producers.Key) ProducerKey {
	p := ProducerKey{KeyID: k.ID, Producer: k.Producer(), VKey: k.VKey, Principals: k.Principals, Agents: k.Agents, MustSign: k.MustSign,
		Enrolled: k.Enrolled, EnrolledBy: k.EnrolledBy, RevokedBy: k.RevokedBy, Reason: k.Reason}
	if !k.Revoked.IsZero() {
		p.Revoked = &k.Revoked
	}
	return p
}

type producersOutput struct {
	Body struct {
		Keys []ProducerKey `json:"keys"`
	}
}

func (s *Server) listProducers(context.Context, *struct{}) (*producersOutput, error) {
	keys, err := s.signers.keys.List()
	if err != nil {
		return nil, err
	}
	out := &producersOutput{}
	out.Body.Keys = make([]ProducerKey, len(keys))
	for i := range keys {
		out.Body.Keys[i] = producerKeyOf(&keys[i])
	}
	return out, nil
}

type producerOutput struct{ Body ProducerKey }

func (s *Server) enrollProducer(ctx context.Context, in *struct {
	Body struct {
		VKey       string   `json:"vkey" minLength:"1" maxLength:"1024" doc:"Verifier key (C2SP signed-note); its name is the producer's"`
		Principals []string `json:"principals,omitempty" doc:"The only principals that may send what the producer signs"`
		Agents     []string `json:"agents,omitempty" doc:"The only agents that the producer acts for, and nobody else"`
		MustSign   bool     `json:"must_sign,omitempty" doc:"Refuse unsigned events of these agents and principals"`
	}
}) (*producerOutput, error) {
	k, err := s.signers.keys.Enroll(producers.Key{VKey: in.Body.VKey, Principals: in.Body.Principals, Agents: in.Body.Agents, MustSign: in.Body.MustSign, EnrolledBy: sender(ctx)})
	switch {
	case errors.Is(err, producers.ErrKeySpec):
		return nil, invalid("body", "%s", err)
	case errors.Is(err, producers.ErrEnrolled):
		return nil, newProblem(http.StatusConflict, "exists", "%s", err)
	}
	return s.changed(ctx, &k, err)
}

func (s *Server) revokeProducer(ctx context.Context, in *struct {
	KeyID string `path:"key_id" doc:"Id of the key"`
	Body  struct {
		Reason string `json:"reason,omitempty" maxLength:"1024" doc:"It stays in the trail"`
	}
}) (*producerOutput, error) {
	k, err := s.signers.keys.Revoke(in.KeyID, sender(ctx), in.Body.Reason)
	switch {
	case errors.Is(err, producers.ErrKeySpec):
		return nil, invalid("body.reason", "%s", err)
	case errors.Is(err, producers.ErrNoKey):
		return nil, newProblem(http.StatusNotFound, "not_found", "%s", err)
	}
	return s.changed(ctx, &k, err)
}

// changed answers with a key once the trail system tells of it.
func (s *Server) changed(ctx context.Context, k *producers.Key, err error) (*producerOutput, error) {
	if err == nil {
		err = s.announceKeys(context.WithoutCancel(ctx))
	}
	if err != nil {
		return nil, err
	}
	return &producerOutput{producerKeyOf(k)}, nil
}
