package server

import (
	"context"
	"fmt"
	"strconv"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
)

// lookedBack is how many verifications are looked at, to know the last one of each trail.
const lookedBack = 1000

// recallVerified has the metrics and alerts know what the last verification of each trail
// found before the server was started, as the trail system says. What cannot be read is
// logged: the next verification tells it.
func (s *Server) recallVerified(ctx context.Context) {
	system, err := s.trails.Get(trails.System)
	if err != nil {
		s.log.Error("custody: what the last verifications found is not known", "err", err)
		return
	}
	left := map[string]bool{}
	for _, t := range s.trails.List() {
		left[t.Name] = true
	}
	for e, err := range system.Entries(ctx, custody.Query{Types: []event.Type{event.VerificationCompleted}, Newest: true, Limit: lookedBack}) {
		if err != nil {
			s.log.Error("custody: what the last verifications found is not known", "err", err)
			return
		}
		told, err := e.Event()
		if err != nil {
			s.log.Error("custody: what a verification found is not known", "err", err)
			continue
		}
		trail, _ := told.Details["trail"].(string)
		findings, err := strconv.Atoi(fmt.Sprint(told.Details["findings"]))
		from := told.Details["from_index"]
		part := from != nil && fmt.Sprint(from) != "0"
		if err != nil || !left[trail] || part && findings == 0 {
			continue
		}
		s.verified(trail, findings)
		if delete(left, trail); len(left) == 0 {
			return
		}
	}
}

// verified tells metrics and alerts what a verification found.
func (s *Server) verified(trail string, findings int) {
	s.metrics.findings.WithLabelValues(trail).Set(float64(findings))
	if s.alerts != nil {
		s.alerts.Verified(trail, findings)
	}
}
