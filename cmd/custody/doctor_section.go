package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/connect"
	"github.com/custodylog/custody/internal/terminal"
)

// Bounds of what a doctor waits for.
const (
	doctorTimeout = 10 * time.Second // for an answer
	doctorArrival = 3 * time.Second  // from the answer to the trail
)

// errNotTried says that something is not tried, since it is in the settings of a project.
var errNotTried = errors.New("not tried, since the settings of a project say so, and it is not what custody connect writes for this trail")

// errUnread says that it cannot be seen whether something is in the trail.
var errUnread = errors.New("this token may not read what is in the trail")

// section is what a doctor says of one file of settings, or of one program.
type section struct {
	d      *doctor
	fields []terminal.Field
}

func (d *doctor) section(agent string, of ...terminal.Field) *section {
	if d.found++; d.found > 1 {
		d.p.out.Printf("\n")
	}
	s := &section{d: d, fields: []terminal.Field{{Name: "agent", Value: d.p.heading(agent)}}}
	for _, f := range of {
		s.say(f.Name, "%s", f.Value)
	}
	return s
}

func (s *section) say(name, format string, args ...any) {
	s.fields = append(s.fields, terminal.Field{Name: name, Value: terminal.OneLine(fmt.Sprintf(format, args...))})
}

func (s *section) unseen(agent string) {
	for _, hole := range connect.Unseen(agent) {
		s.say("not seen", "%s", hole)
	}
}

func (s *section) print() {
	s.d.p.out.Fields(0, s.fields...)
	s.d.p.out.Flush()
}

// try sends a test by a path, if it is known, and says whether it is in the trail: an event
// of the session that send is told.
func (s *section) try(ctx context.Context, name, what string, known bool, send func(ctx context.Context, session string) error) {
	index, err := uint64(0), errNotTried
	if known {
		index, err = s.d.test(ctx, send, inSession)
	}
	s.tried(name, what, index, err)
}

// tried says what became of a test.
func (s *section) tried(name, what string, index uint64, err error) {
	switch {
	case err == nil:
		s.say(name, "%s: arrived, entry %d", what, index)
	case errors.Is(err, errUnread):
		s.say(name, "%s: taken; not looked up, since %v", what, err)
	default:
		s.d.failed++
		s.say(name, "%s: %v", what, err)
	}
}

// arrival looks for a test in a trail by its name.
type arrival func(ctx context.Context, t trail, name string) (index uint64, found bool, err error)

// forbidden reports whether the sender may not do what it asked for.
func forbidden(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status == http.StatusForbidden
}

// test sends a test under a name that no other has, and looks for it in the trail.
func (d *doctor) test(ctx context.Context, send func(ctx context.Context, name string) error, arrived arrival) (index uint64, err error) {
	name := "custody-doctor-" + custody.NewID()
	sending, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	if err := send(sending, name); err != nil {
		return 0, err
	}
	const again = 100 * time.Millisecond
	for until := time.Now().Add(doctorArrival); ; {
		index, found, err := d.find(ctx, name, arrived)
		if forbidden(err) {
			return 0, errUnread
		}
		if err != nil || found {
			return index, err
		}
		if time.Now().After(until) {
			return 0, fmt.Errorf("it was taken, and is not in %s: is that another trail, or is the server away?", d.p.trailPlace())
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(again):
		}
	}
}

func (d *doctor) find(ctx context.Context, name string, arrived arrival) (index uint64, found bool, err error) {
	t, err := d.p.openTrail(ctx)
	if err != nil {
		return 0, false, err
	}
	defer closing(t, &err)
	return arrived(ctx, t, name)
}

// inSession finds a test by the session that its event is of.
func inSession(ctx context.Context, t trail, session string) (index uint64, found bool, err error) {
	for e, err := range t.Entries(ctx, custody.Query{SessionID: session, Limit: 1}) {
		return e.Index, err == nil, err
	}
	return 0, false, nil
}

// byClient finds the connection of a client that calls itself name.
func byClient(ctx context.Context, t trail, name string) (index uint64, found bool, err error) {
	const newest = 100
	for entry, err := range t.Entries(ctx, custody.Query{Types: []event.Type{event.ToolServerConnected}, Newest: true, Limit: newest}) {
		if err != nil {
			return 0, false, err
		}
		if entry.Payload == nil {
			continue
		}
		e, err := entry.Event()
		if err != nil {
			return 0, false, err
		}
		if e.Details["client_name"] == name {
			return entry.Index, true, nil
		}
	}
	return 0, false, nil
}
