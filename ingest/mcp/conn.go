package mcp

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// Conn is one connection of a client to a server: a pair of pipes, a session over HTTP,
// or one exchange of HTTP where there are no sessions. Ids of requests are unique in it,
// for each direction.
type Conn struct {
	s       *Server
	session string // Mcp-Session-Id
	single  bool   // it is one exchange

	// Guarded by the server's mu:
	agent     string // the name of the client
	open      map[string]*request
	asked     map[string]event.Event // questions of the server to the person
	connected *event.Event
}

// request is a request of a client that is not answered yet.
type request struct {
	method   string
	began    time.Time
	params   map[string]any
	protocol string
	client   map[string]any
	event    event.Event    // of calls: what all their events have
	call     *sighting.Call // nil: it is none

	state     any // of a suspended call: what the retry has to bring
	questions map[string]event.Event
}

// Connect returns a new connection.
func (s *Server) Connect() *Conn {
	return &Conn{s: s, open: map[string]*request{}, asked: map[string]event.Event{}}
}

// Exchange returns a connection that is a single exchange of HTTP, unless
// [Conn.SetSession] makes more of it.
func (s *Server) Exchange() *Conn {
	c := s.Connect()
	c.single = true
	return c
}

// SetSession makes the connection the session with that Mcp-Session-Id.
func (c *Conn) SetSession(id string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.session, c.single = id, false
}

// FromClient returns the sightings of a message of the client, which is not forwarded yet.
func (c *Conn) FromClient(m *Message) []sighting.Sighting {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if m.err != nil {
		return c.unread(m, true)
	}
	var all []sighting.Sighting
	for i := range m.parts {
		all = append(all, c.fromClient(&m.parts[i], m.record.Size)...)
	}
	return all
}

func (c *Conn) fromClient(p *part, size int64) []sighting.Sighting {
	switch p.method {
	case "":
		return c.answered(p)
	case methodCancelled:
		return c.cancelled(p)
	case methodInitialize, methodDiscover, methodList, methodCall, methodRead:
	default:
		return nil
	}
	meta := ingest.Object(p.params, "_meta")
	r := &request{method: p.method, began: c.s.opts.Now(), params: p.params, protocol: ingest.Text(meta, metaProtocol), client: ingest.Object(meta, metaClient)}
	if p.method == methodInitialize {
		r.client = ingest.Object(p.params, "clientInfo")
	}
	c.agent = cmp.Or(ingest.Text(r.client, "name"), c.agent)
	var all []sighting.Sighting
	if p.acts() {
		all = c.requested(r, p, size)
	}
	if p.id != "" && len(c.open) < maxOpen {
		c.open[p.id] = r
	}
	return all
}

// FromServer returns the sightings of a message of the server.
func (c *Conn) FromServer(m *Message) []sighting.Sighting {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if m.err != nil {
		return c.unread(m, false)
	}
	var all []sighting.Sighting
	for i := range m.parts {
		p := &m.parts[i]
		switch p.method {
		case "":
			all = append(all, c.response(p, m.record.Size)...)
		case methodElicit:
			all = append(all, c.ask(p))
		}
	}
	return all
}

// response takes in the answer to a request.
func (c *Conn) response(p *part, size int64) []sighting.Sighting {
	r := c.open[p.id]
	if r == nil {
		return nil
	}
	delete(c.open, p.id)
	var all []sighting.Sighting
	if p.failure == nil {
		all = c.meet(r, p.result)
	}
	switch {
	case r.call != nil && p.failure == nil && ingest.Text(p.result, "resultType") == "input_required":
		return append(all, c.suspend(r, p.result)...)
	case r.call != nil:
		return append(all, c.finish(r, p, size))
	case r.method == methodList && p.failure == nil:
		return append(all, c.s.listed(c.base(event.ToolSurfaceChanged), r, p.result)...)
	}
	return all
}

// meet takes in what a server says of itself, and tells that it is connected when it is
// heard of first.
func (c *Conn) meet(r *request, result map[string]any) []sighting.Sighting {
	info, protocol := ingest.Object(result, "_meta", metaServer), r.protocol
	switch {
	case r.method == methodInitialize:
		info, protocol = ingest.Object(result, "serverInfo"), ingest.Text(result, "protocolVersion")
	case protocol == "":
		return nil // of a connection that has begun before the recorder did
	}
	if name := ingest.Text(info, "name"); name != "" {
		c.s.name = ingest.Short(name, 200)
	}
	if c.connected != nil {
		return nil
	}
	e := c.base(event.ToolServerConnected)
	for name, v := range map[string]string{
		"protocol_version": protocol, "server_version": ingest.Text(info, "version"), "server_name": ingest.Text(info, "name"),
		"client_name": ingest.Text(r.client, "name"), "client_version": ingest.Text(r.client, "version"), "mcp_session_id": c.session,
	} {
		if v != "" {
			e.Details[name] = ingest.Short(v, 200)
		}
	}
	if text := ingest.Text(result, "instructions"); text != "" {
		e.Details["instructions_digest"] = ingest.TextDigest(text)
	}
	if !c.single {
		c.connected = &e
		return []sighting.Sighting{seen(e, nil)}
	}
	key := strings.Join([]string{ingest.Text(r.client, "name"), ingest.Text(r.client, "version"), protocol}, "\x00")
	if _, ok := c.s.clients[key]; ok || len(c.s.clients) >= maxClients {
		return nil
	}
	c.s.clients[key] = e
	return []sighting.Sighting{seen(e, nil)}
}

// base returns an event of the connection.
func (c *Conn) base(t event.Type) event.Event {
	e := c.s.event(t)
	e.AgentID = cmp.Or(e.AgentID, ingest.Short(c.agent, 200))
	return e
}

// Close returns the sightings of the end of the connection: of the calls that nothing
// was answered to, nobody knows what became.
func (c *Conn) Close(why string) []sighting.Sighting {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	all := c.lose(slices.Collect(maps.Keys(c.open)), why)
	if c.connected != nil {
		all = append(all, c.s.disconnected(*c.connected))
		c.connected = nil
	}
	return all
}

// Lost returns the sightings of the calls of a message to which no answer will come.
func (c *Conn) Lost(m *Message, why string) []sighting.Sighting {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.lose(m.ids(), why)
}

func (c *Conn) lose(ids []string, why string) []sighting.Sighting {
	var all []sighting.Sighting
	for _, r := range c.take(ids) {
		e := c.next(r, event.ActionFailed)
		e.Outcome = event.OutcomeUnknown
		e.Details["layer"], e.Details["error"] = "transport", ingest.Short(why, 1000)
		c.took(r, &e)
		all = append(all, finished(r, e))
	}
	return all
}

// Abandoned returns the sightings of the calls of a message that the client does not wait
// for any more. By the revision 2026-07-28 that cancels them; before it, it does not, and
// they stay open.
func (c *Conn) Abandoned(m *Message) []sighting.Sighting {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.session != "" {
		return nil
	}
	var all []sighting.Sighting
	for _, r := range c.take(m.ids()) {
		all = append(all, c.cancel(r, "the client ended the exchange"))
	}
	return all
}

// Refused returns the sightings of the refusal of a message that [Conn.FromClient] has
// seen, and which is not forwarded.
func (c *Conn) Refused(m *Message, reason string, details map[string]any) []sighting.Sighting {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if m.err != nil {
		e := c.base(event.IngestRejected)
		e.Decision, e.DecisionSource, e.Outcome = event.Deny, event.ByPolicy, event.OutcomeDenied
		e.Details["what"], e.Details["reason"] = "a message that cannot be read", reason
		maps.Copy(e.Details, details)
		return []sighting.Sighting{seen(e, nil)}
	}
	var all []sighting.Sighting
	for _, r := range c.take(m.ids()) {
		e := c.next(r, event.ActionDenied)
		e.Decision, e.DecisionSource, e.Outcome = event.Deny, event.ByPolicy, event.OutcomeDenied
		e.Details["reasons"] = []any{reason}
		maps.Copy(e.Details, details)
		r.call.Phase = sighting.Decided
		all = append(all, seen(e, r.call))
	}
	return all
}

// Actor is who makes a call, as far as it is known.
type Actor struct{ Agent, Session, Project string }

// Actors returns who makes the calls in a message that [Conn.FromClient] has seen. Of one
// that cannot be read it is whoever the connection is of.
func (c *Conn) Actors(m *Message) []Actor {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if m.err != nil {
		e := c.base("")
		return []Actor{{e.AgentID, e.SessionID, e.ProjectID}}
	}
	var all []Actor
	for _, id := range m.ids() {
		if r := c.open[id]; r != nil && r.call != nil {
			a := Actor{r.event.AgentID, r.event.SessionID, r.event.ProjectID}
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// ids returns the ids of the requests in the message.
func (m *Message) ids() []string {
	var ids []string
	for i := range m.parts {
		if p := &m.parts[i]; p.method != "" && p.id != "" {
			ids = append(ids, p.id)
		}
	}
	return ids
}

// take takes requests out of those that are open, and returns the calls among them in the
// order in which they were made.
func (c *Conn) take(ids []string) []*request {
	var calls []*request
	for _, id := range ids {
		if r := c.open[id]; r != nil && r.call != nil {
			calls = append(calls, r)
		}
		delete(c.open, id)
	}
	slices.SortStableFunc(calls, func(a, b *request) int { return a.began.Compare(b.began) })
	return calls
}
