package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/custodylog/custody/ingest/sighting"
)

// SightingRefusal says why the server did not record one sighting of several.
type SightingRefusal struct {
	Position int    `json:"position"` // of the sighting
	Detail   string `json:"detail"`
}

// RecordSightings has the server record what a path saw of agents, in order, in one of
// its trails: at most 1,000 sightings. When it returns, all but those that are refused are on the server's disk.
// What is sent again under the same ids of events is recorded once.
func (s *Server) RecordSightings(ctx context.Context, trail string, seen []sighting.Sighting) ([]SightingRefusal, error) {
	var answer struct {
		Refused []SightingRefusal `json:"refused"`
	}
	for i := range seen {
		if seen[i].Event.ID == "" {
			return nil, fmt.Errorf("sighting %d: its event needs an id, so that it is recorded once however often it is sent", i)
		}
	}
	r := request{method: http.MethodPost, path: []string{"v1", "sightings"}, query: url.Values{"trail": {trail}}, body: seen}
	err := s.conn.json(ctx, r, &answer)
	return answer.Refused, err
}

// Stop is an emergency stop that holds.
type Stop struct {
	ID     string `json:"id"` // of its event
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// Gate asks whether an agent may go on: it returns an emergency stop that holds for it,
// its session or its project, or nil. What is not known is empty.
func (s *Server) Gate(ctx context.Context, trail, agent, session, project string) (*Stop, error) {
	var answer struct {
		Stop *Stop `json:"stop"`
	}
	query := url.Values{"trail": {trail}, "agent_id": {agent}, "session_id": {session}, "project_id": {project}}
	err := s.conn.json(ctx, request{method: http.MethodGet, path: []string{"v1", "gate"}, query: query}, &answer)
	return answer.Stop, err
}
