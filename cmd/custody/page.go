package main

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/ui"
)

// withPage serves the web page beside the API, to whom that is open as well.
func withPage(api http.Handler, set *trails.Set, log *slog.Logger, local bool, authenticators ...auth.Authenticator) http.Handler {
	may := func(r *http.Request, perm auth.Permission, trail string) bool {
		return auth.From(r.Context()).May(perm, trail)
	}
	deny := func(w http.ResponseWriter, _ *http.Request, d *auth.Denied) { http.Error(w, d.Detail, d.Status()) }
	if local {
		authenticators = append(authenticators, auth.Local{})
	}
	var page http.Handler = auth.Middleware(ui.New(ui.Config{Trails: shown{set}, May: may, Logger: log}), deny, authenticators...)
	if local {
		page = auth.LocalGuard(page, deny)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.Path; path == "/" || strings.HasPrefix(path, "/trails/") || strings.HasPrefix(path, "/assets/") {
			page.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
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
