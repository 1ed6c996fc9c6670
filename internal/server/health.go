package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// registerHealth serves
//
//	GET /healthz
//	GET /readyz
func (s *Server) registerHealth() {
	text := map[string]*huma.Response{"200": {Description: "It does", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: "string"}}}}}
	s.document(&huma.Operation{OperationID: "getHealth", Method: http.MethodGet, Path: "/healthz", Tags: []string{"operation"},
		Summary: "Whether the server answers", Responses: text})
	s.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte("ok\n"))
	})
	s.document(&huma.Operation{OperationID: "getReadiness", Method: http.MethodGet, Path: "/readyz", Tags: []string{"operation"},
		Summary: "Whether every trail can be recorded in", Responses: readyResponses(s)})
	s.HandleFunc("GET /readyz", s.ready)
}

// readiness says of each trail whether it can be recorded in.
type readiness struct {
	Ready  bool              `json:"ready"`
	Trails map[string]string `json:"trails" doc:"ok, or a code that docs/http.md lists"`
	Alerts []operational     `json:"alerts" doc:"What is wrong with the operation, whether or not it keeps anything from being recorded; docs/server.md lists it"`
}

// operational is what everybody may know of an alert of the operation.
type operational struct {
	Code  string `json:"code"`
	Trail string `json:"trail,omitempty" doc:"Absent: it concerns the server"`
	Since string `json:"since"`
}

func readyResponses(s *Server) map[string]*huma.Response {
	content := map[string]*huma.MediaType{typeJSON: {Schema: huma.SchemaFromType(s.api.OpenAPI().Components.Schemas, typeOf[readiness]())}}
	return map[string]*huma.Response{"200": {Description: "Every one can", Content: content}, "503": {Description: "One or more cannot", Content: content}}
}

// patience is how long a disk may take before it is taken for one that does not work.
const patience = 5 * time.Second

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	j := readiness{Ready: s.stopped.Err() == nil, Trails: map[string]string{}, Alerts: []operational{}}
	if s.alerts != nil {
		for _, a := range s.alerts.Operational() {
			j.Alerts = append(j.Alerts, operational{a.Code, a.Trail, wire.Time(a.Since)})
		}
	}
	for _, t := range s.trails.List() {
		j.Trails[t.Name] = "ok"
		if err := writes(r.Context(), t); err != nil {
			j.Ready, j.Trails[t.Name] = false, problemOf(err).Code
		}
	}
	w.Header().Set("Content-Type", typeJSON)
	if !j.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(j) // an error means that the client is gone
}

// writes says why nothing can be recorded in a trail, or nil.
func writes(ctx context.Context, t *trails.Trail) error {
	if err := readOnly(t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := t.Flush(ctx)
	return err
}
