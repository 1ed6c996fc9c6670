package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody/event"
)

//go:generate go test -count=1 -run ^TestOpenAPI$ . -update

// apiVersion is the version of the API, not of the program: the first number changes
// with what existing clients cannot cope with.
const apiVersion = "1.0.0"

// apiConfig says how huma reads and writes.
func apiConfig() huma.Config {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: strictJSON}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Custody", Version: apiVersion, License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
				Description: "A tamper-evident audit trail for AI agents. docs/http.md is the guide to this interface."},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "An API token. On the server's own machine none is needed, unless it is configured to ask for one."},
				},
			},
			Security: []map[string][]string{{"token": {}}, {}},
		},
		Formats:       map[string]huma.Format{typeJSON: format, "json": format},
		DefaultFormat: typeJSON,
	}
}

// strictJSON reads a body. What JSON readers do not agree on is refused: a name that is
// there twice, invalid UTF-8, numbers that a float64 does not hold.
func strictJSON(data []byte, v any) error {
	canonical, err := event.Canonicalize(nil, data)
	if err != nil {
		return err
	}
	return json.Unmarshal(canonical, v)
}

// document adds an operation that is not huma's to the description of the API, with
// the errors that it may be answered with.
func (s *Server) document(op *huma.Operation, errors ...int) {
	problem := huma.SchemaFromType(s.api.OpenAPI().Components.Schemas, typeOf[Problem]())
	for _, status := range errors {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: problem}}}
	}
	s.api.OpenAPI().AddOperation(op)
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

var schemaRef = regexp.MustCompile(`"#/components/schemas/([^"]+)"`)

// allowMembers says of what only the server sends that it may have members that are not
// described: a later version may add some.
func (s *Server) allowMembers() error {
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	received := map[string]bool{}
	var visit func(v any) error
	visit = func(v any) error {
		b, err := json.Marshal(v)
		for _, ref := range schemaRef.FindAllSubmatch(b, -1) {
			if name := string(ref[1]); err == nil && !received[name] {
				received[name] = true
				err = visit(schemas[name])
			}
		}
		return err
	}
	for _, item := range s.api.OpenAPI().Paths {
		if item.Post != nil {
			if err := visit(item.Post.RequestBody); err != nil {
				return err
			}
		}
	}
	for name, schema := range schemas {
		if !received[name] {
			schema.AdditionalProperties = nil
		}
	}
	return nil
}

// registerOpenAPI serves
//
//	GET /openapi.json
func (s *Server) registerOpenAPI() error {
	text := &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
	s.document(&huma.Operation{OperationID: "getMetrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"operation"},
		Summary: "Get metrics for Prometheus", Responses: map[string]*huma.Response{"200": {Description: "Metrics", Content: map[string]*huma.MediaType{"text/plain": text}}}}, 403)
	s.document(&huma.Operation{OperationID: "getOpenAPI", Method: http.MethodGet, Path: "/openapi.json", Tags: []string{"operation"},
		Summary: "Get this description", Responses: map[string]*huma.Response{"200": {Description: "OpenAPI 3.1", Content: map[string]*huma.MediaType{"application/openapi+json": {Schema: &huma.Schema{Type: "object"}}}}}})
	if err := s.allowMembers(); err != nil {
		return err
	}
	described, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, described, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	s.openapi = b.Bytes()
	s.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		io.Copy(w, bytes.NewReader(s.openapi)) // an error means that the client is gone
	})
	return nil
}
