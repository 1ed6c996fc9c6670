package ui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/internal/auth"
)

// Administration is what the pages of administration need.
type Administration struct {
	// API is that of the server, with the routes under /v1. The pages change things by
	// it alone, with a request that carries the credentials of whoever sent theirs: so
	// what they may do, and what is recorded of it, is the same. nil: there are no
	// pages of administration but those that only show something.
	API http.Handler

	// SecondPerson says that a removal takes one.
	SecondPerson bool

	// RetentionPolicy is the policy, in YAML, that is applied every RetentionEvery.
	// Empty: nothing expires.
	RetentionPolicy string
	RetentionEvery  time.Duration

	// Settings are how the server is set up.
	Settings []Setting
}

// section is a page of administration.
type section struct {
	Name   string
	Page   string // last part of its path, and the name of its template
	perm   auth.Permission
	server bool // it is about the server and not about a trail
	acts   bool // it needs the API
}

var allSections = []section{
	{Name: "Emergency stops", Page: "stops", perm: auth.Stop, acts: true},
	{Name: "Holds", Page: "holds", perm: auth.ManageHolds, acts: true},
	{Name: "Retention", Page: "retention", perm: auth.ManageRetention, acts: true},
	{Name: "Erasure", Page: "erasure", perm: auth.Erase, acts: true},
	{Name: "Followers", Page: "followers", perm: auth.ReadMetrics},
	{Name: "Tokens", Page: "tokens", perm: auth.ManageTokens, server: true, acts: true},
	{Name: "Configuration", Page: "configuration", perm: auth.Configure, server: true},
}

// Path returns where the section is, for a trail.
func (s section) Path(trail string) string {
	if s.server {
		return "/server/" + s.Page
	}
	return trailPath(trail, s.Page)
}

// sections returns those that whoever sent r may use, on a trail and on the server.
func (u *ui) sections(r *http.Request, trail string) []section {
	return slices.DeleteFunc(slices.Clone(allSections), func(s section) bool {
		on := trail
		if s.server {
			on = ""
		}
		return s.acts && u.API == nil || !s.server && trail == "" || !u.May(r, s.perm, on)
	})
}

// administer serves the pages of administration.
func (u *ui) administer(mux *http.ServeMux) {
	mux.HandleFunc("GET /trails/{trail}/followers", u.page(auth.ReadMetrics, u.followers))
	mux.HandleFunc("GET /server/configuration", u.page(auth.Configure, u.configuration))
	if u.API == nil {
		return
	}
	mux.HandleFunc("GET /trails/{trail}/holds", u.page(auth.ManageHolds, u.holds))
	mux.HandleFunc("POST /trails/{trail}/holds", u.page(auth.ManageHolds, u.placeHold))
	mux.HandleFunc("POST /trails/{trail}/holds/{hold}/release", u.page(auth.ManageHolds, u.releaseHold))
	mux.HandleFunc("GET /trails/{trail}/stops", u.page(auth.Stop, u.stops))
	mux.HandleFunc("POST /trails/{trail}/stops", u.page(auth.Stop, u.stopAgents))
	mux.HandleFunc("POST /trails/{trail}/stops/{stop}/clear", u.page(auth.Stop, u.clearStop))
	mux.HandleFunc("GET /trails/{trail}/retention", u.page(auth.ManageRetention, u.retention))
	mux.HandleFunc("POST /trails/{trail}/retention", u.page(auth.ManageRetention, u.planRetention))
	mux.HandleFunc("GET /trails/{trail}/erasure", u.page(auth.Erase, u.erasure))
	mux.HandleFunc("POST /trails/{trail}/erasure/plan", u.page(auth.Erase, u.planErasure))
	mux.HandleFunc("POST /trails/{trail}/erasure", u.page(auth.Erase, u.askErasure))
	mux.HandleFunc("POST /trails/{trail}/requests/{request}/{verb}", u.page(auth.Erase, u.decideErasure))
	mux.HandleFunc("GET /server/tokens", u.page(auth.ManageTokens, u.tokens))
	mux.HandleFunc("POST /server/tokens", u.page(auth.ManageTokens, u.createToken))
	mux.HandleFunc("POST /server/tokens/{id}/revoke", u.page(auth.ManageTokens, u.revokeToken))
}

// maxSent bounds what a form sends, in bytes.
const maxSent = 64 << 10

// sent reads what a form sent. Fields are as the parameters of a request; those in many
// may come several times.
func (v *view) sent(w http.ResponseWriter, many []string, known ...string) (url.Values, error) {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(patience)) // fails only where there are no deadlines, as in tests
	v.r.Body = http.MaxBytesReader(w, v.r.Body, maxSent)
	if err := v.r.ParseForm(); err != nil {
		return nil, &problem{http.StatusBadRequest, "The form cannot be read", "Nothing was changed. " + err.Error() + "."}
	}
	return checked(v.r.PostForm, many, append(known, many...)...)
}

// list takes apart what was given several times, or with commas.
func list(text string) []string {
	var all []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// who names whoever sent the request, as events name them; empty: that is not known.
func (v *view) who() string {
	if p := auth.From(v.ctx); p != nil {
		return p.Name
	}
	return ""
}

// done leads to a page that says what was done.
func (u *ui) done(w http.ResponseWriter, v *view, path string, n notice) error {
	n.who = v.who()
	http.Redirect(w, v.r, path+"?"+url.Values{noticeParameter: {u.notices.put(n, v.now)}}.Encode(), http.StatusSeeOther)
	return nil
}

// administration shows a page of administration, with what was done just now.
func (u *ui) administration(w http.ResponseWriter, v *view, status int, page string, content any) error {
	i := slices.IndexFunc(allSections, func(s section) bool { return s.Page == page })
	l := layout{Title: allSections[i].Name, Trail: v.name, Section: page, Notice: u.notices.take(v.r.URL.Query().Get(noticeParameter), v.who(), v.now)}
	if l.Trail == "" {
		l.Trail = u.home(v.r)
	}
	return u.render(w, v.r, status, page+".html", l, content)
}

// formPage is what a page with a form has to say of it.
type formPage struct {
	Values  url.Values // as they were sent, if that is to be corrected
	Problem string     // what is wrong with them; empty: nothing
}

// Has reports whether one of the values of a field is chosen.
func (p *formPage) Has(name, value string) bool {
	return slices.Contains(list(p.Values.Get(name)), value)
}
