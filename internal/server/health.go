package server

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody/internal/auth"
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
		Summary: "Whether every trail can be recorded in", Description: "For anybody. Who says who they are, and may read_metrics, learns which cannot, and why.", Responses: readyResponses(s)}, 401)
	s.HandleFunc("GET /readyz", s.ready)
}

// readiness says whether trails can be recorded in and, to whom may know it, which.
type readiness struct {
	Ready    bool              `json:"ready" doc:"Every trail can be recorded in, as of a second ago at most"`
	Failing  int               `json:"failing" doc:"How many trails cannot"`
	Alerting int               `json:"alerting" doc:"How many alerts of the operation hold, whether or not they keep anything from being recorded"`
	Trails   map[string]string `json:"trails,omitzero" doc:"To whom may read_metrics: of each trail ok, or a code that docs/http.md lists"`
	Alerts   []operational     `json:"alerts,omitzero" doc:"To the same: what is wrong with the operation; docs/alerts.md lists it"`
}

// operational is an alert of the operation.
type operational struct {
	Code  string `json:"code"`
	Trail string `json:"trail,omitempty" doc:"Absent: it concerns the server"`
	Since string `json:"since"`
}

func readyResponses(s *Server) map[string]*huma.Response {
	content := map[string]*huma.MediaType{typeJSON: {Schema: huma.SchemaFromType(s.api.OpenAPI().Components.Schemas, typeOf[readiness]())}}
	return map[string]*huma.Response{"200": {Description: "Every one can", Content: content}, "503": {Description: "One or more cannot", Content: content}}
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	found, err := s.writableTrails(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	j := readiness{Ready: s.stopped.Err() == nil && found.failing == 0, Failing: found.failing}
	if auth.From(r.Context()).May(auth.ReadMetrics, "") {
		j.Trails, j.Alerts = found.trails, []operational{}
	}
	if s.alerts != nil {
		all := s.alerts.Operational()
		j.Alerting = len(all)
		for _, a := range all {
			if j.Alerts != nil {
				j.Alerts = append(j.Alerts, operational{a.Code, a.Trail, wire.Time(a.Since)})
			}
		}
	}
	w.Header().Set("Content-Type", typeJSON)
	if !j.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(j) // an error means that the client is gone
}
