package mcp

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// The methods that sightings are made of.
const (
	methodInitialize = "initialize"
	methodDiscover   = "server/discover"
	methodList       = "tools/list"
	methodCall       = "tools/call"
	methodRead       = "resources/read"
	methodElicit     = "elicitation/create"
	methodCancelled  = "notifications/cancelled"

	methodTaskGet    = "tasks/get"
	methodTaskResult = "tasks/result" // revision 2025-11-25
	methodTaskList   = "tasks/list"   // revision 2025-11-25
	methodTaskUpdate = "tasks/update" // extension io.modelcontextprotocol/tasks
	methodTaskCancel = "tasks/cancel"
	methodTaskStatus = "notifications/tasks/status" // revision 2025-11-25
	methodTaskTold   = "notifications/tasks"        // extension
)

// followed are the methods of the client whose answers matter, and those that need none.
var followed = map[string]bool{
	methodInitialize: true, methodDiscover: true, methodList: true, methodCall: true, methodRead: true, methodCancelled: true,
	methodTaskGet: true, methodTaskResult: true, methodTaskList: true, methodTaskUpdate: true, methodTaskCancel: true,
}

// The keys of _meta.
const (
	metaProtocol = "io.modelcontextprotocol/protocolVersion" // revision 2026-07-28
	metaClient   = "io.modelcontextprotocol/clientInfo"
	metaServer   = "io.modelcontextprotocol/serverInfo"
	metaTask     = "io.modelcontextprotocol/related-task" // revision 2025-11-25
	metaTrace    = "traceparent"

	metaToolUse = "claudecode/toolUseId"  // Claude Code: the id of the call
	metaVSCode  = "vscode.conversationId" // VS Code: the session
	metaOpenAI  = "openai/session"        // ChatGPT: the session
)

// Unreadable is the type of the events of what cannot be read.
const Unreadable event.Type = "mcp_unreadable"

// Bounds of what is kept.
const (
	maxPayload   = 1_000_000 // bytes of an event
	maxKept      = 256 << 10 // bytes of a message whose input or output is kept whole
	beginning    = 64 << 10  // bytes that are kept of what is longer
	maxParts     = 200       // messages of a batch
	maxOpen      = 10_000    // requests of one connection without an answer
	maxLate      = 1000      // of which none is waited for any more
	maxSuspended = 1000      // calls that wait for an answer of the person
	maxTasks     = 10_000    // calls that go on as tasks
	maxQuestions = 100       // that one call asks the person
	maxNoted     = 100       // unreadable messages of one server that are events
	maxClients   = 1000      // that are told apart
	maxAsked     = 50        // that a call without a name may be of
)

// Options say what is known of a server and of who calls it. All may be empty.
type Options struct {
	Server    string // its name, as the agent knows it; default: what it says itself
	Transport string // "stdio" or "http"
	Fallback  string // name of a server that says none

	Agent   string // default: the name that the client gives itself
	Session string // of calls with none in their _meta
	Project string

	// Known returns the digests of the tools that a server of that name had before, by
	// their names; nil: it is not known.
	Known func(server string) map[string]string

	Now func() time.Time // default: time.Now
	Run string           // makes the ids of events unique; default: random
}

// Server is a server of tools, as a recorder in front of it sees it. Its methods, and
// those of its connections, may be called from several goroutines.
type Server struct {
	opts Options

	mu         sync.Mutex // guards all below, and the connections
	seq        uint64
	name       string // that it gave itself first
	tools      map[string]string
	known      bool // tools is what was known
	pages      map[string]map[string]string
	suspended  []*request
	tasks      map[string]*request     // calls that go on as tasks, by their ids
	callIDs    ingest.Recent[struct{}] // those that agents gave their calls
	clients    map[string]event.Event  // of connections that have no session, by what tells them apart
	unreadable int
}

// NewServer returns a server that nothing was seen of.
func NewServer(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Run == "" {
		o.Run = "mcp-" + rand.Text()
	}
	return &Server{opts: o, pages: map[string]map[string]string{}, tasks: map[string]*request{}, clients: map[string]event.Event{}}
}

// serverName returns the name of the server in events.
func (s *Server) serverName() string {
	return cmp.Or(s.opts.Server, s.name, s.opts.Fallback, "unnamed")
}

// next returns an id that no other event has.
func (s *Server) next() string {
	s.seq++
	return fmt.Sprintf("%s-%d", s.opts.Run, s.seq)
}

// event returns an event with what all have.
func (s *Server) event(t event.Type) event.Event {
	return event.Event{
		Type: t, ID: s.next(), Source: sighting.Recorder, OccurredAt: s.opts.Now().UTC().Truncate(time.Microsecond),
		AgentID: s.opts.Agent, SessionID: s.opts.Session, ProjectID: s.opts.Project,
		Details: map[string]any{"server": s.serverName(), "transport": s.opts.Transport},
	}
}

// seen makes a sighting of an event that fits into a trail.
func seen(e event.Event, c *sighting.Call) sighting.Sighting {
	if c != nil {
		copied := *c
		c = &copied
	}
	mapped := e.Type != Unreadable
	if ingest.Fit(&e, maxPayload, Unreadable) != nil {
		mapped = false
	}
	return sighting.Sighting{Event: e, Call: c, Mapped: mapped}
}

// Failed returns the sighting that the server cannot be reached or broke off.
func (s *Server) Failed(why string) sighting.Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.event(event.ToolServerFailed)
	e.Details["error"] = ingest.Short(why, 1000)
	return seen(e, nil)
}

// Close returns the sightings of the end of all that goes on beyond a connection: calls
// that wait for the person or are tasks, and connections that have no session.
func (s *Server) Close() []sighting.Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.leave(func(*request) bool { return true }, "the recorder ended")
	for _, key := range slices.Sorted(maps.Keys(s.clients)) {
		all = append(all, s.disconnected(s.clients[key]))
	}
	clear(s.clients)
	return all
}

// disconnected returns the sighting of the end of a connection.
func (s *Server) disconnected(connected event.Event) sighting.Sighting {
	e := s.event(event.ToolServerDisconnected)
	e.AgentID, e.SessionID = connected.AgentID, connected.SessionID
	maps.Copy(e.Details, connected.Details)
	if s.unreadable > 0 {
		e.Details["unreadable_messages"] = s.unreadable
	}
	return seen(e, nil)
}

// unread returns the sighting of a message that cannot be read. Only the first ones of a
// server are events, so that one that writes a log to its output does not fill the trail;
// those of clients all are, since there may be calls in them.
func (c *Conn) unread(m *Message, toServer bool) []sighting.Sighting {
	if c.s.unreadable++; c.s.unreadable > maxNoted && !toServer {
		return nil
	}
	e := c.base(Unreadable)
	e.Details["direction"] = "to_client"
	if toServer {
		e.Details["direction"] = "to_server"
	}
	// As text in any case, so that secrets in it are found.
	e.Details["raw"] = ingest.Short(strings.ToValidUTF8(string(m.record.Text[:min(len(m.record.Text), beginning)]), "\uFFFD"), beginning)
	e.Details["bytes"], e.Details["digest"] = m.record.Size, "sha256:"+hex.EncodeToString(m.record.Sum[:])
	e.Details["error"] = m.err.Error()
	return []sighting.Sighting{seen(e, nil)}
}

// trace sets the trace that a request belongs to (W3C Trace Context).
func trace(e *event.Event, parent string) {
	f := strings.Split(parent, "-")
	if len(f) < 4 || len(f[0]) != 2 || !isHex(f[1], 32) || !isHex(f[2], 16) {
		return
	}
	e.TraceID, e.SpanID = f[1], f[2]
}

func isHex(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}
