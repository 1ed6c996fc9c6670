package mcp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest/mcp"
)

// Whoever makes a call in a message is asked about, whatever else is in it.
func TestActors(t *testing.T) {
	of := func(agent, session string) mcp.Actor { return mcp.Actor{Agent: agent, Session: session} }
	call := func(id, session string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"a","_meta":{"vscode.conversationId":"` + session + `"}}}`
	}
	for _, tt := range []struct {
		name, message string
		want          []mcp.Actor
	}{
		{"a call", call("1", "s1"), []mcp.Actor{of("a", "s1"), of("a", "s0")}},
		{"of the session that was given", strings.Replace(call("1", "s1"), `"vscode.conversationId":"s1"`, "", 1), []mcp.Actor{of("a", "s0")}},
		{"two of one id", "[" + call("1", "s1") + "," + call("1", "s2") + "]", []mcp.Actor{of("a", "s1"), of("a", "s0"), of("a", "s2")}},
		{"one that is cancelled at once", "[" + call("1", "s1") + `,{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]`, []mcp.Actor{of("a", "s1"), of("a", "s0")}},
		{"what cannot be read", "x", []mcp.Actor{of("a", "s0")}},
		{"none", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mcp.NewServer(mcp.Options{Agent: "a", Session: "s0"}).Connect()
			m := mcp.Parse(record(tt.message))
			c.FromClient(m)
			if got := c.Actors(m); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Who does not name itself may be whoever did in another exchange.
func TestActorsOfExchanges(t *testing.T) {
	s := mcp.NewServer(mcp.Options{})
	for _, name := range []string{"b", "a"} {
		c := s.Exchange()
		c.FromClient(mcp.Parse(record(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"clientInfo":{"name":"` + name + `"}}}`)))
		c.FromServer(mcp.Parse(record(`{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-03-26"}}`)))
	}
	for _, text := range []string{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`, "x"} {
		c, m := s.Exchange(), mcp.Parse(record(text))
		c.FromClient(m)
		if got := c.Actors(m); !slices.Equal(got, []mcp.Actor{{}, {Agent: "a"}, {Agent: "b"}}) {
			t.Errorf("%s: %v", text, got)
		}
	}
}
