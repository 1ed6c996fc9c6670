package ui

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence/bundle"
	"github.com/custodylog/custody/internal/auth"
)

// Trails are the trails that the page shows.
type Trails interface {
	// List returns the names of all trails.
	List() []string
	// Get returns a trail by its name. An error means that there is none.
	Get(name string) (*custody.Trail, error)
}

// Config says what the page shows, and to whom.
type Config struct {
	Trails Trails

	// May says whether whoever sent a request may do something on a trail.
	May func(r *http.Request, perm auth.Permission, trail string) bool

	// Alerts are what somebody has to be told of as long as it holds. They are shown
	// on every page, to whom may read the server's metrics. nil: there are none.
	Alerts func() []Alert

	// Writable says why nothing can be recorded in a trail, or nil. nil: it is not
	// known.
	Writable func(ctx context.Context, trail string) error

	Administration

	// Login lets people in by /login. nil: nobody logs in.
	Login *Login

	// Denied, if it is not nil, is told what somebody asked for that they may not do.
	Denied func(r *http.Request, perm auth.Permission, trail string)

	// Read, if not nil, is told of every entry whose payload is shown to whoever sent r.
	Read func(r *http.Request, trail string, e *custody.Entry)

	// Exported, if not nil, is told of every file that was made of a trail.
	Exported func(r *http.Request, x Export)

	// Now gives the time. Default: time.Now.
	Now func() time.Time

	// Logger gets what went wrong on the server's side. Default: slog.Default().
	Logger *slog.Logger
}

// first is the trail that / leads to, where there is one of that name.
const first = "default"

// New returns the handler of all pages and what they are made of: /, /trails/ and
// /assets/. It may be used from several goroutines.
func New(c Config) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	u := &ui{Config: c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", u.start)
	mux.HandleFunc("GET /trails/{trail}", u.page(auth.ReadEntries, u.overview))
	mux.HandleFunc("GET /trails/{trail}/events", u.page(auth.ReadEntries, u.events))
	mux.HandleFunc("GET /trails/{trail}/events/rows", u.page(auth.ReadEntries, u.rows))
	mux.HandleFunc("GET /trails/{trail}/events.ndjson", u.page(auth.ReadEntries, u.exportNDJSON))
	mux.HandleFunc("GET /trails/{trail}/events.csv", u.page(auth.ReadEntries, u.exportCSV))
	mux.HandleFunc("GET /trails/{trail}/events/{index}", u.page(auth.ReadEntries, u.event))
	mux.HandleFunc("GET /trails/{trail}/timeline", u.page(auth.ReadPayloads, u.timeline))
	mux.HandleFunc("GET /trails/{trail}/integrity", u.page(auth.ReadEntries, u.integrity))
	u.administer(mux)
	u.registerLogin(mux)
	for name, a := range assets {
		mux.Handle("GET "+a.path(name), a)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		u.fail(w, r, &problem{http.StatusNotFound, "There is no such page", "Nothing is at " + r.URL.Path + "."})
	})
	check := http.NewCrossOriginProtection().Check
	if c.Login != nil {
		check = c.Login.Sessions.CheckOrigin // it knows what browsers call the server
	}
	return secured(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if check(r) != nil {
			u.fail(w, r, &problem{http.StatusForbidden, "Another site sent this", "Nothing was changed. What changes something has to come from a page of this server: open it again and send its form."})
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// secured sets the headers that keep foreign content and foreign pages out.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

type ui struct {
	Config
	notices notices
}

// view is a request for a page.
type view struct {
	r        *http.Request
	ctx      context.Context
	name     string         // of the trail; empty: the page is about none
	trail    *custody.Trail // nil: as above
	now      time.Time
	payloads bool                                                  // may be shown
	read     func(r *http.Request, trail string, e *custody.Entry) // is told of those that are; nil: nobody
}

// page returns the handler of a page of a trail.
func (u *ui) page(perm auth.Permission, show func(http.ResponseWriter, *view) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w = patient{w, http.NewResponseController(w)}
		v, err := u.view(r, perm)
		if err == nil {
			err = show(w, v)
		}
		if err != nil {
			u.fail(w, r, err)
		}
	}
}

// patience is how long a client may take to read what is sent.
const patience = 30 * time.Second

// patient gives up on a client that does not read, however long all of it takes.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	p.control.SetWriteDeadline(time.Now().Add(patience)) // fails only where there are no deadlines, as in tests
	return p.ResponseWriter.Write(b)
}

// view finds the trail, if the page is about one. Whoever may not do what the page is
// for does not learn whether there is one.
func (u *ui) view(r *http.Request, perm auth.Permission) (*view, error) {
	name := r.PathValue("trail")
	about := "on this server"
	if name != "" {
		about = fmt.Sprintf("on the trail %q", name)
	}
	if !u.May(r, perm, name) {
		if u.Denied != nil {
			u.Denied(r, perm, name)
		}
		return nil, &problem{http.StatusForbidden, "You may not see this", fmt.Sprintf("This page takes the permission %s %s, which you do not have. Ask whoever runs this server for a role that has it.", perm, about)}
	}
	v := &view{r: r, ctx: r.Context(), name: name, now: u.Now(), read: u.Read}
	if name == "" {
		return v, nil
	}
	var err error
	if v.trail, err = u.Trails.Get(name); err != nil {
		return nil, &problem{http.StatusNotFound, "There is no such trail", fmt.Sprintf("No trail on this server is called %q.", name)}
	}
	v.payloads = u.May(r, auth.ReadPayloads, name)
	return v, nil
}

// entry takes out of an entry what may not be shown, and tells of what is.
func (v *view) entry(e *custody.Entry) {
	if !v.payloads {
		e.Payload, e.Salt = nil, nil
	}
	if v.read != nil && e.Payload != nil {
		v.read(v.r, v.name, e)
	}
}

// seen returns the names of the trails that have a page for whoever sent r.
func (u *ui) seen(r *http.Request) []string {
	return slices.DeleteFunc(slices.Clone(u.Trails.List()), func(name string) bool {
		return !u.May(r, auth.ReadEntries, name) && !slices.ContainsFunc(u.sections(r, name), func(s section) bool { return !s.server })
	})
}

// home returns the trail that / leads to; empty: none.
func (u *ui) home(r *http.Request) string {
	names := u.seen(r)
	switch {
	case len(names) == 0:
		return ""
	case slices.Contains(names, first):
		return first
	}
	return names[0]
}

// start leads to the first page that there is for whoever asks.
func (u *ui) start(w http.ResponseWriter, r *http.Request) {
	path := u.entrance(r, u.home(r))
	if path == "" {
		u.fail(w, r, &problem{http.StatusForbidden, "There is nothing for you to see", "You may read none of the trails on this server, or there are none. Ask whoever runs it for a role that may."})
		return
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// entrance returns the path of the first page that there is of a trail, or of the server
// where there is none, for whoever sent r; empty: there is none.
func (u *ui) entrance(r *http.Request, name string) string {
	if name != "" && u.May(r, auth.ReadEntries, name) {
		return trailPath(name, "")
	}
	if sections := u.sections(r, name); len(sections) > 0 {
		return sections[0].Path(name)
	}
	return ""
}

// problem is an error that is shown to whoever asked.
type problem struct {
	status int
	title  string
	detail string
}

func (p *problem) Error() string { return p.title + ": " + p.detail }

// fail shows what went wrong.
func (u *ui) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is there
	}
	var p *problem
	if !errors.As(err, &p) {
		p = u.problemOf(r, err)
	}
	l := layout{Title: p.title}
	if name := r.PathValue("trail"); slices.Contains(u.seen(r), name) {
		l.Trail = name
	}
	if err = u.render(w, r, p.status, "problem.html", l, p); err != nil {
		u.Logger.Error("custody: a page could not be made", "path", r.URL.Path, "err", err)
		http.Error(w, p.Error(), p.status)
	}
}

// problemOf says what is shown of an error of the trail.
func (u *ui) problemOf(r *http.Request, err error) *problem {
	if p, ok := errors.AsType[*refusal](err); ok {
		return &problem{p.Status, "That did not work", sentence(p.Detail)}
	}
	switch {
	case errors.Is(err, custody.ErrAltered):
		u.Logger.Error("custody: what is stored does not check out", "path", r.URL.Path, "err", err)
		return &problem{http.StatusInternalServerError, "What is stored does not check out", err.Error() + ". Verify the trail: the report says everything that is wrong with it."}
	case errors.Is(err, custody.ErrPruned):
		return &problem{http.StatusGone, "The entry was removed", err.Error() + ", as an event of the trail says."}
	case errors.Is(err, custody.ErrNotFound):
		return &problem{http.StatusNotFound, "There is no such entry", err.Error() + "."}
	case errors.Is(err, custody.ErrClosed):
		return &problem{http.StatusServiceUnavailable, "The server is stopping", "The trail was closed. Try again when the server runs again."}
	}
	u.Logger.Error("custody: a page could not be made", "path", r.URL.Path, "err", err)
	return &problem{http.StatusInternalServerError, "That did not work", "The server could not read the trail; its log says why."}
}

// Status, Title and Detail are for the template.
func (p *problem) Status() int    { return p.status }
func (p *problem) Title() string  { return p.title }
func (p *problem) Detail() string { return p.detail }

// Alert is something that somebody has to be told of as long as it holds.
type Alert struct {
	Title    string
	Detail   string
	Since    time.Time
	Critical bool
}

// layout is what every page has around its own.
type layout struct {
	Title    string
	Trail    string    // empty: the page is about none
	Reads    bool      // the trail's entries may be read
	Tells    bool      // and what they say
	Trails   []choice  // that there are to go to, by their paths
	Section  string    // of the navigation
	Sections []section // of administration, for whoever asks
	Script   string    // of the page; empty: none
	Alerts   []Alert
	Notice   *notice // of what was done just now
	User     string  // who sees it; empty: that is not known
	Session  bool    // they are logged in, and can log out
	Page     any     // what the page itself shows
}

// Administers reports whether the page is one of administration.
func (l *layout) Administers() bool {
	return slices.ContainsFunc(l.Sections, func(s section) bool { return s.Page == l.Section })
}

// Critical reports whether one of the alerts is.
func (l *layout) Critical() bool {
	return slices.ContainsFunc(l.Alerts, func(a Alert) bool { return a.Critical })
}

// render writes a page.
func (u *ui) render(w http.ResponseWriter, r *http.Request, status int, name string, l layout, page any) error {
	for _, name := range u.seen(r) {
		l.Trails = append(l.Trails, choice{u.entrance(r, name), name})
	}
	l.Sections, l.Page = u.sections(r, l.Trail), page
	l.Reads = l.Trail != "" && u.May(r, auth.ReadEntries, l.Trail)
	l.Tells = l.Reads && u.May(r, auth.ReadPayloads, l.Trail)
	if u.Alerts != nil && u.May(r, auth.ReadMetrics, "") {
		l.Alerts = u.Alerts()
	}
	if p := auth.From(r.Context()); p != nil {
		l.User, l.Session = p.Name, p.Session
	}
	var b bytes.Buffer
	if err := templates[name].ExecuteTemplate(&b, "layout.html", &l); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
	return nil
}

// show writes a page of a trail.
func (u *ui) show(w http.ResponseWriter, v *view, name string, l layout, page any) error {
	l.Trail = v.name
	return u.render(w, v.r, http.StatusOK, name, l, page)
}

//go:embed template asset
var files embed.FS

// templates are the pages by the name of their file.
var templates = func() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(functions).ParseFS(files, "template/layout.html", "template/parts.html"))
	pages := map[string]*template.Template{}
	for _, name := range []string{"problem.html", "overview.html", "events.html", "event.html", "timeline.html", "timelines.html", "integrity.html", "login.html",
		"stops.html", "holds.html", "retention.html", "erasure.html", "followers.html", "tokens.html", "configuration.html"} {
		pages[name] = template.Must(template.Must(shared.Clone()).ParseFS(files, "template/"+name))
	}
	return pages
}()

// asset is a script or style sheet.
type asset struct {
	contentType string
	content     []byte
	digest      string // part of its path, so that it may be kept for ever
}

func (a *asset) path(name string) string { return "/assets/" + a.digest + "/" + name }

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(a.content)
}

// assets has them by name. What pages and bundles look like, and how they check
// hashes and signatures, is the same.
var assets = func() map[string]*asset {
	read := func(name string) string {
		b, err := files.ReadFile("asset/" + name)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	all := map[string]*asset{}
	for name, content := range map[string]string{
		"custody.css":  bundle.PageStyle() + read("custody.css"),
		"events.js":    read("events.js"),
		"integrity.js": read("element.js") + read("integrity.js"),
		"event.js":     bundle.PageScript() + read("element.js") + read("event.js"),
	} {
		a := &asset{contentType: "text/javascript; charset=utf-8", content: []byte(content)}
		if name == "custody.css" {
			a.contentType = "text/css; charset=utf-8"
		}
		sum := sha256.Sum256(a.content)
		a.digest = hex.EncodeToString(sum[:8])
		all[name] = a
	}
	return all
}()
