package server

import (
	"context"

	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

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
	for last, err := range wire.Verifications(ctx, system.Trail) {
		if err != nil {
			s.log.Error("custody: what a verification found is not known", "err", err)
			continue
		}
		if !left[last.Trail] {
			continue
		}
		s.verified(last.Trail, int(last.Findings))
		if delete(left, last.Trail); len(left) == 0 {
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
