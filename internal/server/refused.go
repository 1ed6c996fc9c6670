package server

import (
	"context"
	"net/http"
	"sync"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

// refusals counts the events that were offered and refused, so that many are one event
// and nobody fills the trail system.
type refusals struct {
	mu      sync.Mutex
	pending map[refusedBy]*refusal // guarded by mu
}

// refusedBy has values of which there are few: none is taken from what was offered.
type refusedBy struct{ principal, trail, code string }

type refusal struct {
	agent string // that all of them named; empty: there were several
	count uint64
}

func (r *refusals) add(by refusedBy, agent string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = map[refusedBy]*refusal{}
	}
	have := r.pending[by]
	if have == nil {
		have = &refusal{agent: agent}
		r.pending[by] = have
	}
	if have.agent != agent {
		have.agent = ""
	}
	have.count++
}

// The codes of refusals that are counted, or recorded, where they are found.
const (
	codeAgent     = "agent"
	codeSignature = "signature"
)

// take returns what was counted since the last time.
func (r *refusals) take() map[refusedBy]*refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.pending
	r.pending = nil
	return all
}

// refuse counts what was offered for a trail and is refused because of err: an event, or
// an array of them, of which none is taken. What the server cannot take at the moment
// is not refused, and what was counted or recorded with more of it is not counted twice.
func (s *Server) refuse(ctx context.Context, trail string, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError || p.Status == http.StatusRequestTimeout || p.Status == 499 || p.Code == codeAgent || p.Code == codeSignature {
		return
	}
	s.refused.add(refusedBy{sender(ctx), trail, p.Code}, "")
}

// noteRefusals records what was refused since the last time.
func (s *Server) noteRefusals() {
	for by, r := range s.refused.take() {
		ctx := auth.With(context.Background(), &auth.Principal{Name: by.principal})
		s.note(ctx, event.Event{Type: event.IngestRejected, AgentID: r.agent, Details: map[string]any{
			"what": "events for the trail " + by.trail, "trail": by.trail, "reason": by.code, "count": r.count, "by": by.principal,
		}})
	}
}
