package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/custodylog/custody/internal/connect"
	"github.com/custodylog/custody/internal/terminal"
)

// examineProgram sends a test to where programs with the OpenAI Agents SDK post, as far as
// they are as custody connect says. There are no settings that would say so.
func (d *doctor) examineProgram(ctx context.Context) error {
	how := connectOptions{project: d.project}
	o, err := how.options(d.p, connect.OpenAIAgents)
	if err != nil {
		return err
	}
	if o.URL == "" {
		return withHint(fmt.Errorf("%s: its programs post to the address of a server, and %s is none", connect.OpenAIAgents, d.p.trailPlace()), "give the address of a server with --trail http://HOST:PORT")
	}
	s := d.section(connect.OpenAIAgents, terminal.Field{Name: "settings", Value: "none: the program says where it posts"})
	s.try(ctx, "address", o.URL, true, func(ctx context.Context, session string) error {
		address, err := url.Parse(o.URL)
		if err != nil {
			return err
		}
		query := address.Query()
		query.Set("event", doctorEvent)
		address.RawQuery = query.Encode()
		header := http.Header{}
		token, err := d.p.token()
		if err != nil {
			return err
		}
		if token == "" {
			token = "none" // the SDK sends a key always
		}
		header.Set("Authorization", "Bearer "+token)
		_, err = post200(ctx, address.String(), header, doctorMessage(session))
		return err
	})
	s.unseen(connect.OpenAIAgents)
	s.print()
	return nil
}
