package mcp

import (
	"cmp"
	"iter"
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
	agent     string              // the name of the client
	open      map[string]*request // that are not answered yet, by their ids
	late      map[string]*request // of which no answer is waited for any more
	asked     map[string]*asked   // questions of the server to the person, by the ids of its requests
	promised  map[string]*asked   // to which the answer is a task of the client, by its id
	connected *event.Event
}

// request is a request of a client.
type request struct {
	conn     *Conn
	method   string
	began    time.Time
	cursor   string // of a list: the page
	protocol string // as of revision 2026-07-28
	client   client

	event     event.Event    // of calls: what all their events have
	call      *sighting.Call // nil: it is none
	ended     bool           // it is told how the call ended
	state     string         // of a suspended call: digest of what the retry has to bring
	questions map[string]*asked
	task      task
	about     *request // of a request about a task: the call that the task is
}

// client is what a client says of itself.
type client struct{ name, version string }

func clientOf(info map[string]any) client {
	return client{ingest.Short(ingest.Text(info, "name"), 200), ingest.Short(ingest.Text(info, "version"), 200)}
}

// Connect returns a new connection.
func (s *Server) Connect() *Conn {
	return &Conn{s: s, open: map[string]*request{}, late: map[string]*request{}, asked: map[string]*asked{}, promised: map[string]*asked{}}
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
		all = append(all, c.fromClient(&m.parts[i])...)
	}
	return all
}

func (c *Conn) fromClient(p *part) []sighting.Sighting {
	switch {
	case p.method == "":
		return c.answered(p)
	case p.method == methodCancelled:
		return c.cancelled(p)
	case !followed[p.method]:
		return nil
	}
	meta := ingest.Object(p.params, "_meta")
	r := &request{conn: c, method: p.method, began: c.s.opts.Now(), cursor: ingest.Text(p.params, "cursor"), protocol: ingest.Text(meta, metaProtocol), client: clientOf(ingest.Object(meta, metaClient))}
	if p.method == methodInitialize {
		r.client = clientOf(ingest.Object(p.params, "clientInfo"))
	}
	c.agent = cmp.Or(r.client.name, c.agent)
	p.request = r
	all := c.await(r, p.id)
	if p.acts() {
		return append(all, c.requested(r, p)...)
	}
	return append(all, c.s.asksOfTask(r, p)...)
}

// await keeps a request until it is answered.
func (c *Conn) await(r *request, id string) []sighting.Sighting {
	if id == "" {
		return nil
	}
	all := c.lose(id, "another request took its id")
	for other := range c.open {
		if len(c.open) < maxOpen {
			break
		}
		all = append(all, c.lose(other, "too many requests have no answer")...)
	}
	delete(c.late, id)
	c.open[id] = r
	return all
}

// take takes a request out of those that are open, if it is. An answer to it may still
// come.
func (c *Conn) take(id string) *request {
	r := c.open[id]
	if r == nil {
		return nil
	}
	delete(c.open, id)
	if len(c.late) == maxLate {
		clear(c.late)
	}
	c.late[id] = r
	return r
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
			all = append(all, c.response(p)...)
		case methodElicit:
			all = append(all, c.ask(p)...)
		case methodTaskResult:
			c.askAgain(p)
		case methodTaskStatus, methodTaskTold:
			all = append(all, c.s.tasks[ingest.Text(p.params, "taskId")].heard(p.params, p)...)
		}
	}
	return all
}

// response takes in the answer to a request.
func (c *Conn) response(p *part) []sighting.Sighting {
	r := cmp.Or(c.open[p.id], c.late[p.id])
	if r == nil {
		return nil
	}
	delete(c.open, p.id)
	delete(c.late, p.id)
	var all []sighting.Sighting
	if p.failure == nil {
		all = c.meet(r, p.result)
	}
	switch {
	case r.call != nil:
		return append(all, r.answered(p)...)
	case r.method == methodList && p.failure == nil:
		return append(all, c.s.listed(c.base(event.ToolSurfaceChanged), r, p.result)...)
	}
	return append(all, c.s.answerOfTask(r, p)...)
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
	c.s.name = cmp.Or(c.s.name, ingest.Short(ingest.Text(info, "name"), 200))
	if c.connected != nil {
		return nil
	}
	e := c.base(event.ToolServerConnected)
	for name, v := range map[string]string{
		"protocol_version": protocol, "server_version": ingest.Text(info, "version"), "server_name": ingest.Text(info, "name"),
		"client_name": r.client.name, "client_version": r.client.version, "mcp_session_id": c.session,
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
	key := strings.Join([]string{r.client.name, r.client.version, ingest.Short(protocol, 200)}, "\x00")
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
// was answered to, nobody knows what became. What is told of them later is a sighting
// still.
func (c *Conn) Close(why string) []sighting.Sighting {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	ids := slices.SortedFunc(maps.Keys(c.open), func(a, b string) int {
		return cmp.Or(c.open[a].began.Compare(c.open[b].began), strings.Compare(a, b))
	})
	var all []sighting.Sighting
	for _, id := range ids {
		all = append(all, c.lose(id, why)...)
	}
	if c.session == "" { // a pair of pipes, and with it the server
		all = append(all, c.s.leave(func(r *request) bool { return r.conn == c }, why)...)
	}
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
	var all []sighting.Sighting
	for id := range c.unanswered(m) {
		all = append(all, c.lose(id, why)...)
	}
	return all
}

// lose takes a request out of those that are open.
func (c *Conn) lose(id, why string) []sighting.Sighting {
	r := c.take(id)
	if r == nil || r.call == nil {
		return nil
	}
	return r.lost(why)
}

// Abandoned returns the sightings of the calls of a message that the client does not wait
// for any more. By the revision 2026-07-28 that cancels them. Before it, it does not: in a
// session they stay open, and else nobody knows what became of them.
func (c *Conn) Abandoned(m *Message) []sighting.Sighting {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	const why = "the client ended the exchange"
	var all []sighting.Sighting
	for id, r := range c.unanswered(m) {
		switch {
		case r.protocol == "" && c.session == "":
			all = append(all, c.lose(id, why)...)
		case r.protocol == "":
		case c.take(id).call != nil:
			all = append(all, r.cancel("client", why)...)
		}
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
	for id := range c.unanswered(m) {
		delete(c.open, id)
	}
	var all []sighting.Sighting
	for r := range m.calls() {
		e := r.next(event.ActionDenied)
		e.Decision, e.DecisionSource, e.Outcome = event.Deny, event.ByPolicy, event.OutcomeDenied
		e.Details["reasons"] = []any{reason}
		maps.Copy(e.Details, details)
		r.ended, r.call.Phase = true, sighting.Decided
		all = append(all, seen(e, r.call))
	}
	return all
}

// Actor is who makes a call, as far as it is known.
type Actor struct{ Agent, Session, Project string }

// Actors returns who makes the calls in a message that [Conn.FromClient] has seen. Of one
// that cannot be read it is whoever the connection is of. A client that names another
// session than the recorder was given for its calls is of both, and one that does not
// name itself may be any of the first that did, by their names, in exchanges of their own.
func (c *Conn) Actors(m *Message) []Actor {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var all []Actor
	known := map[Actor]bool{}
	add := func(agent string, e event.Event) {
		for _, session := range []string{e.SessionID, cmp.Or(c.s.opts.Session, e.SessionID)} {
			if a := (Actor{agent, session, e.ProjectID}); !known[a] {
				known[a] = true
				all = append(all, a)
			}
		}
	}
	each := func(e event.Event) {
		add(e.AgentID, e)
		if e.AgentID == "" {
			for _, key := range slices.Sorted(maps.Keys(c.s.clients))[:min(len(c.s.clients), maxAsked)] {
				add(c.s.clients[key].AgentID, e)
			}
		}
	}
	if m.err != nil {
		each(c.base(""))
	}
	for r := range m.calls() {
		each(r.event)
	}
	return all
}

// calls returns the calls that [Conn.FromClient] has found in the message.
func (m *Message) calls() iter.Seq[*request] {
	return func(yield func(*request) bool) {
		for i := range m.parts {
			if r := m.parts[i].request; r != nil && r.call != nil && !yield(r) {
				return
			}
		}
	}
}

// unanswered returns the requests of a message that are open, by their ids.
func (c *Conn) unanswered(m *Message) iter.Seq2[string, *request] {
	return func(yield func(string, *request) bool) {
		for i := range m.parts {
			p := &m.parts[i]
			if p.request != nil && c.open[p.id] == p.request && !yield(p.id, p.request) {
				return
			}
		}
	}
}
