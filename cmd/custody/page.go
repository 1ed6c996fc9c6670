package main

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/ui"
)

// newPage returns the web page of the server, which the server lets people in to.
func (s *service) newPage(login *ui.Login) (http.Handler, error) {
	c := ui.Config{Trails: shown{s.trails}, Alerts: shownAlerts(s.alerts), Writable: s.writable, Login: login, Denied: s.denied, Read: s.read, Exported: s.exported, Logger: s.log,
		May: func(r *http.Request, perm auth.Permission, trail string) bool {
			return auth.From(r.Context()).May(perm, trail)
		}}
	c.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.api.Handler().ServeHTTP(w, r) })
	c.SecondPerson, c.RetentionEvery = s.cfg.Removal.SecondPerson, time.Duration(s.cfg.Retention.Every)
	if s.cfg.Retention.Policy != "" {
		content, err := os.ReadFile(s.cfg.Retention.Policy)
		if err != nil {
			return nil, err
		}
		c.RetentionPolicy = string(content)
	}
	for _, setting := range s.settings {
		c.Settings = append(c.Settings, ui.Setting(setting))
	}
	return ui.New(c), nil
}

// writableWithin is how long a disk may take before the page calls it one that does not
// work.
const writableWithin = time.Second

// writable says why nothing can be recorded in a trail, or nil.
func (s *service) writable(ctx context.Context, name string) error {
	t, err := s.trails.Get(name)
	if err != nil {
		return err
	}
	if t.Err != nil {
		return t.Err
	}
	ctx, cancel := context.WithTimeout(ctx, writableWithin)
	defer cancel()
	_, err = t.Flush(ctx)
	return err
}

// shown are the trails of a data directory, for the page.
type shown struct{ *trails.Set }

func (s shown) List() []string {
	var names []string
	for _, t := range s.Set.List() {
		names = append(names, t.Name)
	}
	return names
}

func (s shown) Get(name string) (*custody.Trail, error) {
	t, err := s.Set.Get(name)
	if err != nil {
		return nil, err
	}
	return t.Trail, nil
}
