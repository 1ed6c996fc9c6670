package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/ingest/hooks"
	"github.com/custodylog/custody/ingest/sighting"
	"github.com/custodylog/custody/internal/agents"
	"github.com/custodylog/custody/internal/joiner"
	"github.com/custodylog/custody/internal/recording"
	"github.com/custodylog/custody/internal/spool"
	"github.com/custodylog/custody/internal/stops"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/vfs"
)

// hookMessage is what an agent told its hook, as the spool keeps it (docs/format/spool.md).
type hookMessage struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Agent   string    `json:"agent"`
	Event   string    `json:"event,omitempty"`
	Project string    `json:"project,omitempty"`
	Body    []byte    `json:"body"`
	Policy  string    `json:"policy,omitempty"` // by which the agent was denied what it wanted
	Denied  string    `json:"denied,omitempty"` // why
}

// parse reads what the agent said.
func (m *hookMessage) parse() (*hooks.Report, error) {
	report, err := hooks.Parse(m.Agent, m.Event, m.Body)
	if err == nil {
		report.InProject(m.Project)
	}
	return report, err
}

// sightings returns what the message is recorded as when it comes from the spool.
func (m *hookMessage) sightings() ([]sighting.Sighting, error) {
	report, err := m.parse()
	if err != nil {
		return nil, err
	}
	seen := m.name(report.Sightings)
	for i := range seen {
		if e := &seen[i].Event; e.OccurredAt.IsZero() {
			e.OccurredAt = m.Time
		}
	}
	if m.Denied != "" {
		seen = append(seen, agents.Denied(seen, m.Policy, m.Denied, nil)...)
	}
	return seen, nil
}

// name gives the events the ids that the server gives those of a message.
func (m *hookMessage) name(seen []sighting.Sighting) []sighting.Sighting {
	for i := range seen {
		seen[i].Event.ID = m.ID + ":" + strconv.Itoa(i)
	}
	return seen
}

// hookPlace is a trail that messages of hooks go to. It is opened when it is needed.
type hookPlace interface {
	// ask records a message, and returns what the agent is told.
	ask(context.Context, *hookMessage, *hooks.Report) (answer []byte, err error)
	// record records sightings, and returns by their position why some never will be.
	record(context.Context, []sighting.Sighting) (refused map[int]error, err error)
	// stopped returns why an emergency stop holds, or "".
	stopped(context.Context, []sighting.Sighting) (why string, err error)
	close()
}

func (p *program) hookPlace() hookPlace {
	if p.remote() {
		return &hookServer{p: p}
	}
	return &hookDirectory{p: p}
}

// hookServer is a trail on a server.
type hookServer struct {
	p      *program
	server *client.Server
}

func (s *hookServer) open() error {
	if s.server != nil {
		return nil
	}
	token, err := s.p.token()
	if err != nil {
		return err
	}
	s.server, err = client.NewServer(s.p.trailPlace(), &client.Options{Token: token, RetryFor: -1})
	return err
}

func (s *hookServer) ask(ctx context.Context, m *hookMessage, _ *hooks.Report) ([]byte, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	answer, err := s.server.Hook(ctx, client.HookMessage{Trail: s.server.TrailName(), Agent: m.Agent, Event: m.Event, ID: m.ID, Project: m.Project, Body: m.Body})
	return answer, s.away(err)
}

// away puts an error into the place of one of a request, that an agent may be shown.
func (s *hookServer) away(err error) error {
	if unreached, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s does not answer: %w", s.p.trailPlace(), unreached.Err)
	}
	return err
}

func (s *hookServer) record(ctx context.Context, seen []sighting.Sighting) (map[int]error, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	all, err := s.server.RecordSightings(ctx, s.server.TrailName(), seen)
	refused := map[int]error{}
	for _, r := range all {
		refused[r.Position] = errors.New(r.Detail)
	}
	return refused, s.away(err)
}

func (s *hookServer) stopped(ctx context.Context, seen []sighting.Sighting) (string, error) {
	if err := s.open(); err != nil {
		return "", err
	}
	for i := range seen {
		e := &seen[i].Event
		for _, agent := range agents.Names(e) {
			stop, err := s.server.Gate(ctx, s.server.TrailName(), agent, e.SessionID, e.ProjectID)
			if err != nil {
				return "", err
			}
			if stop != nil {
				return stops.Why(stop.By, stop.Reason), nil
			}
		}
	}
	return "", nil
}

func (s *hookServer) close() {
	if s.server != nil {
		s.server.Close()
	}
}

// hookDirectory is a trail in a directory.
type hookDirectory struct {
	p        *program
	trail    *custody.Trail
	recorder *agents.Recorder
	stops    *stops.Set
}

// open opens the trail, as soon as nobody else writes it.
func (d *hookDirectory) open(ctx context.Context) error {
	const again = 10 * time.Millisecond
	for d.trail == nil {
		t, err := d.p.openFiles(&custody.Options{})
		if err == nil {
			if d.stops, err = stops.Open(ctx, t); err == nil {
				d.trail, d.recorder = t, agents.New(t, joiner.Options{})
				return nil
			}
			return errors.Join(err, t.Close())
		}
		var locked *custody.LockedError
		if !errors.As(err, &locked) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(again):
		}
	}
	return nil
}

func (d *hookDirectory) ask(ctx context.Context, m *hookMessage, report *hooks.Report) ([]byte, error) {
	if err := d.open(ctx); err != nil {
		return nil, err
	}
	answer, seen := report.Silent(), m.name(report.Sightings)
	if stop := agents.Stopped(d.stops, seen); stop != nil {
		reason := stops.Why(stop.By, stop.Reason)
		if refusal, can := report.Refuse(reason); can {
			answer = refusal
			seen = append(seen, agents.Denied(seen, "emergency_stop", reason, map[string]any{"stop_event_id": stop.ID})...)
		}
	}
	_, refused, err := d.recorder.Record(ctx, seen)
	if err == nil && len(refused) > 0 {
		err = refused[0].Err
	}
	if err != nil {
		return nil, err
	}
	return answer.Body, d.recorder.Settle(ctx)
}

func (d *hookDirectory) record(ctx context.Context, seen []sighting.Sighting) (map[int]error, error) {
	if err := d.open(ctx); err != nil {
		return nil, err
	}
	_, all, err := d.recorder.Record(ctx, seen)
	refused := map[int]error{}
	for _, r := range all {
		refused[r.Position] = r.Err
	}
	return refused, err
}

func (d *hookDirectory) stopped(ctx context.Context, seen []sighting.Sighting) (string, error) {
	if err := d.open(ctx); err != nil {
		return "", err
	}
	if stop := agents.Stopped(d.stops, seen); stop != nil {
		return stops.Why(stop.By, stop.Reason), nil
	}
	return "", nil
}

func (d *hookDirectory) close() {
	if d.trail == nil {
		return
	}
	if err := d.trail.Close(); err != nil {
		d.p.warn("closing the trail: %v", err)
	}
}

// neverTaken reports whether a message itself is what a trail does not take, so that it
// need not be tried again.
func neverTaken(err error) bool {
	var p *client.Problem
	if errors.As(err, &p) {
		switch p.Status {
		case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
			return true
		}
		return false
	}
	return recording.IsRefusal(err)
}

// notFromSender reports whether a trail does not take a message from this sender, such as
// one of an agent that the sender may not speak for, but may take others. While a sender
// may record nothing at all, messages wait.
func notFromSender(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status == http.StatusForbidden && (p.Code == "agent" || p.Code == "signature")
}

func isLocked(err error) bool {
	var locked *vfs.LockedError
	return errors.As(err, &locked)
}

// hookSpool keeps messages for one trail.
type hookSpool struct{ *spool.Spool }

// hookSpool returns the spool of the trail of the command, below a directory: each trail
// has its own.
func (p *program) hookSpool(dir string) (*hookSpool, error) {
	if dir == "" {
		state, err := userStateDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(state, "custody", "spool")
	}
	place := p.trailPlace()
	if !p.remote() {
		var err error
		if place, err = filepath.Abs(place); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256([]byte(place))
	s, err := spool.OpenPrivate(filepath.Join(dir, hex.EncodeToString(sum[:8])), spool.Options{})
	if err != nil {
		return nil, err
	}
	return &hookSpool{s}, nil
}

// userStateDir returns where programs of the user keep what is to stay and is no setting.
func userStateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	switch runtime.GOOS {
	case "windows":
		return os.UserCacheDir() // %LocalAppData%
	case "darwin":
		return os.UserConfigDir() // ~/Library/Application Support
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state"), err
}

func (s *hookSpool) append(m *hookMessage) error {
	record, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.Append(record)
}

// replayHooks records what is in the spool. While another process does, it waits for it.
func replayHooks(ctx context.Context, place hookPlace, box *hookSpool) (spool.Replayed, error) {
	const again = 10 * time.Millisecond
	for {
		r, err := box.Replay(func(records [][]byte) ([]error, error) { return recordHooks(ctx, place, records) })
		if !isLocked(err) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, err
		case <-time.After(again):
		}
	}
}

// recordHooks records messages of the spool, and says which are refused.
func recordHooks(ctx context.Context, place hookPlace, records [][]byte) ([]error, error) {
	judged := make([]error, len(records))
	var all []sighting.Sighting
	var of []int // record of each sighting
	for i, record := range records {
		var m hookMessage
		err := json.Unmarshal(record, &m)
		var seen []sighting.Sighting
		if err == nil {
			seen, err = m.sightings()
		}
		judged[i] = err
		for range seen {
			of = append(of, i)
		}
		all = append(all, seen...)
	}
	if len(all) == 0 {
		return judged, nil
	}
	refused, err := place.record(ctx, all)
	isRefusal := neverTaken(err) || notFromSender(err)
	switch {
	case err == nil:
	case isRefusal && len(records) > 1: // one of them; which, is seen one by one
		judged = judged[:0]
		for _, record := range records {
			one, err := recordHooks(ctx, place, [][]byte{record})
			if err != nil {
				return judged, err
			}
			judged = append(judged, one...)
		}
		return judged, nil
	case isRefusal:
		judged[0] = err
	default:
		return nil, err
	}
	for i, why := range refused {
		judged[of[i]] = why
	}
	return judged, nil
}

// tellReplayed says what went wrong with what was in the spool.
func (p *program) tellReplayed(r *spool.Replayed, box *hookSpool) {
	for _, why := range r.Aside {
		p.warn("a message in the spool is refused, and was set aside (custody hook --flush --again tries it again): %s", terminal.OneLine(why.Error()))
	}
	for _, name := range r.Torn {
		p.warn("a crash left %s half-written in %s; it was removed: nobody was told that it is kept", name, box.Dir())
	}
}
