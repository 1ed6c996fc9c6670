package main

import (
	"log/slog"
	"net/http"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/ui"
)

// newPage returns the web page of a server, which the server lets people in to.
func newPage(set *trails.Set, log *slog.Logger) http.Handler {
	return ui.New(ui.Config{Trails: shown{set}, Logger: log,
		May: func(r *http.Request, perm auth.Permission, trail string) bool {
			return auth.From(r.Context()).May(perm, trail)
		}})
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
