package server

import "github.com/custodylog/custody/internal/auth"

// access says who may use a route, and how long an answer may take.
type access struct {
	needs auth.Permission
	body  bodyKind

	public bool // nobody has to say who they are
	asks   bool // of a public one: who does learns more
	own    bool // anybody known; the handler looks at what they may do
	long   bool // the answer may take as long as it does

	byQuery bool // the trail is the parameter trail of the query, or default
}

// bodyKind is what a request may carry.
type bodyKind int

const (
	noBody     bodyKind = iota
	jsonBody            // application/json
	eventsBody          // that, or application/x-ndjson
	otlpBody            // application/json or application/x-protobuf
	grpcBody            // messages of gRPC, which package connect reads
)

// routes is every route of the server, by its pattern, and who may use it. A pattern
// that is not here is not served. The permission is asked for on the trail in the
// path or, of some, in the query; where there is none, on the server as a whole.
var routes = map[string]access{
	"GET /healthz":      {public: true},
	"GET /readyz":       {public: true, asks: true},
	"GET /openapi.json": {public: true},
	"GET /metrics":      {needs: auth.ReadMetrics},

	"GET /v1/trails":         {own: true},
	"POST /v1/trails":        {needs: auth.CreateTrails, body: jsonBody},
	"GET /v1/trails/{trail}": {needs: auth.ReadEntries},

	"POST /v1/trails/{trail}/events":                {needs: auth.Append, body: eventsBody, long: true},
	"GET /v1/trails/{trail}/events":                 {needs: auth.ReadEntries, long: true},
	"GET /v1/trails/{trail}/events/{index}":         {needs: auth.ReadEntries},
	"GET /v1/trails/{trail}/events/{index}/entry":   {needs: auth.ReadEntries},
	"GET /v1/trails/{trail}/events/{index}/payload": {needs: auth.ReadPayloads},
	"GET /v1/trails/{trail}/events/{index}/proof":   {needs: auth.Prove},
	"GET /v1/trails/{trail}/events/{index}/receipt": {needs: auth.ReadPayloads},
	"GET /v1/trails/{trail}/ids/{id}":               {needs: auth.ReadPayloads},
	"GET /v1/trails/{trail}/counts":                 {needs: auth.ReadEntries},
	"GET /v1/trails/{trail}/timeline":               {needs: auth.ReadPayloads},
	"GET /v1/trails/{trail}/stream":                 {needs: auth.ReadEntries, long: true},

	"GET /v1/trails/{trail}/checkpoint":            {needs: auth.ReadEntries},
	"GET /v1/trails/{trail}/keys":                  {needs: auth.ReadEntries},
	"POST /v1/trails/{trail}/verifications":        {needs: auth.Verify, body: jsonBody},
	"GET /v1/trails/{trail}/verifications":         {needs: auth.Verify},
	"GET /v1/trails/{trail}/verifications/{job}":   {needs: auth.Verify},
	"POST /v1/trails/{trail}/proofs":               {needs: auth.Prove, body: jsonBody},
	"POST /v1/trails/{trail}/consistency-proofs":   {needs: auth.Prove, body: jsonBody},
	"POST /v1/trails/{trail}/cosign":               {needs: auth.ManageWitnesses},
	"POST /v1/trails/{trail}/timestamp":            {needs: auth.ManageWitnesses},
	"GET /v1/trails/{trail}/bundle":                {needs: auth.Bundle, long: true},
	"POST /v1/trails/{trail}/bundle":               {needs: auth.Bundle, body: jsonBody, long: true},
	"GET /v1/trails/{trail}/holds":                 {needs: auth.ManageHolds},
	"POST /v1/trails/{trail}/holds":                {needs: auth.ManageHolds, body: jsonBody},
	"POST /v1/trails/{trail}/holds/{hold}/release": {needs: auth.ManageHolds, body: jsonBody},
	"POST /v1/trails/{trail}/erasures/plan":        {needs: auth.Erase, body: jsonBody, long: true},
	"POST /v1/trails/{trail}/erasures":             {needs: auth.Erase, body: jsonBody, long: true},
	"POST /v1/trails/{trail}/retention/plan":       {needs: auth.ManageRetention, body: jsonBody, long: true},
	"POST /v1/trails/{trail}/retention/apply":      {needs: auth.ManageRetention, body: jsonBody, long: true},

	"GET /v1/requests":                     {own: true},
	"GET /v1/requests/{request}":           {own: true},
	"POST /v1/requests/{request}/approve":  {own: true},
	"POST /v1/requests/{request}/refuse":   {own: true},
	"POST /v1/requests/{request}/withdraw": {own: true},

	"GET /v1/producers":                  {needs: auth.ManageTokens},
	"POST /v1/producers":                 {needs: auth.ManageTokens, body: jsonBody},
	"POST /v1/producers/{key_id}/revoke": {needs: auth.ManageTokens, body: jsonBody},

	"POST /v1/events":        {needs: auth.Append, byQuery: true, body: eventsBody, long: true},
	"POST /v1/hooks/{agent}": {needs: auth.Append, byQuery: true, body: jsonBody},
	"POST /v1/sightings":     {needs: auth.Append, byQuery: true, body: eventsBody},
	"POST /v1/logs":          {needs: auth.Append, byQuery: true, body: otlpBody},
	"POST /v1/traces":        {needs: auth.Append, byQuery: true, body: otlpBody},
	"POST /v1/metrics":       {needs: auth.Append, byQuery: true, body: otlpBody},
	"POST /opentelemetry.proto.collector.logs.v1.LogsService/Export":       {needs: auth.Append, byQuery: true, body: grpcBody},
	"POST /opentelemetry.proto.collector.trace.v1.TraceService/Export":     {needs: auth.Append, byQuery: true, body: grpcBody},
	"POST /opentelemetry.proto.collector.metrics.v1.MetricsService/Export": {needs: auth.Append, byQuery: true, body: grpcBody},

	"GET /v1/gate":                               {needs: auth.Append, byQuery: true},
	"GET /v1/trails/{trail}/stops":               {needs: auth.ReadStops},
	"POST /v1/trails/{trail}/stops":              {needs: auth.Stop, body: jsonBody},
	"POST /v1/trails/{trail}/stops/{stop}/clear": {needs: auth.Stop, body: jsonBody},

	"GET /v1/tokens":              {needs: auth.ManageTokens},
	"POST /v1/tokens":             {needs: auth.ManageTokens, body: jsonBody},
	"POST /v1/tokens/{id}/revoke": {needs: auth.ManageTokens},

	"GET /t/{trail}/{path...}": {needs: auth.ReadEntries},
}
