package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/custodylog/custody/internal/wire"
)

// holdsPage is the legal holds of a trail.
type holdsPage struct {
	Trail string
	Holds []hold
	Form  formPage
	Types []string // of events, to choose from
}

// hold is one that is in force.
type hold struct {
	wire.Hold
	Covers []fact // nothing: the whole trail
}

// coveringNames are the fields that say what a hold or an erasure is about.
var coveringNames = []string{"event_type", "agent_id", "action_id", "session_id", "project_id", "user_id", "decision", "correlation_id", "since", "until"}

func (u *ui) holds(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r, noticeParameter); err != nil {
		return err
	}
	return u.showHolds(w, v, http.StatusOK, formPage{})
}

func (u *ui) showHolds(w http.ResponseWriter, v *view, status int, form formPage) error {
	var answer struct{ Holds []wire.Hold }
	if err := u.call(v, http.MethodGet, apiPath(v.name, "holds"), nil, &answer); err != nil {
		return err
	}
	p := &holdsPage{Trail: v.name, Form: form, Types: typeNames()}
	for _, h := range answer.Holds {
		p.Holds = append(p.Holds, hold{h, flatten(h.Query)})
	}
	return u.administration(w, v, status, "holds", p)
}

// apiPath returns the path of something of a trail in the API.
func apiPath(trail string, parts ...string) string {
	path := "/v1/trails/" + url.PathEscape(trail)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// flatten returns what is in an object, with the names of its members in order.
func flatten(object map[string]any) []fact {
	var facts []fact
	var walk func(name string, value any)
	walk = func(name string, value any) {
		switch value := value.(type) {
		case map[string]any:
			names := make([]string, 0, len(value))
			for n := range value {
				names = append(names, n)
			}
			slices.Sort(names)
			for _, n := range names {
				walk(strings.TrimPrefix(name+"."+n, "."), value[n])
			}
		case []any:
			var texts []string
			for _, element := range value {
				texts = append(texts, fmt.Sprint(element))
			}
			facts = append(facts, fact{Name: name, Value: strings.Join(texts, ", ")})
		case float64:
			facts = append(facts, fact{Name: name, Value: fmt.Sprintf("%.0f", value)})
		default:
			facts = append(facts, fact{Name: name, Value: fmt.Sprint(value)})
		}
	}
	walk("", object)
	return facts
}

// covering returns the filter of the API that fields ask for.
func (v *view) covering(values url.Values) (map[string]any, error) {
	f, err := v.filterOf(values)
	if err != nil {
		return nil, err
	}
	query := map[string]any{}
	for name := range f.inside() {
		query[name] = f.values.Get(name)
	}
	if len(f.query.Types) > 0 {
		query["event_type"] = f.query.Types
	}
	if !f.query.Since.IsZero() {
		query["since"] = f.query.Since
	}
	if !f.query.Until.IsZero() {
		query["until"] = f.query.Until
	}
	return query, nil
}

func (u *ui) placeHold(w http.ResponseWriter, v *view) error {
	values, err := v.sent(w, nil, append(slices.Clone(coveringNames), "all", "reason")...)
	if err != nil {
		return err
	}
	query, err := v.covering(without(values, "all", "reason"))
	wrong := ""
	switch {
	case err != nil:
		wrong = problemText(err)
	case values.Get("reason") == "":
		wrong = "Say what the hold is for: it stays in the trail."
	case values.Has("all") == (len(query) > 0):
		wrong = "Say what the hold covers: either the whole trail, or what at least one of the fields says."
	}
	var placed wire.Hold
	if wrong == "" {
		body := map[string]any{"reason": values.Get("reason"), "query": query}
		if values.Has("all") {
			body = map[string]any{"reason": values.Get("reason"), "all": true}
		}
		if wrong, err = correctable(u.call(v, http.MethodPost, apiPath(v.name, "holds"), body, &placed)); err != nil {
			return err
		}
	}
	if wrong != "" {
		return u.showHolds(w, v, http.StatusUnprocessableEntity, formPage{values, wrong})
	}
	return u.done(w, v, trailPath(v.name, "holds"), notice{Title: "The hold is placed", Detail: "Nothing that it covers expires or is erased from now on. Entry " + number(placed.Index) + " tells of it."})
}

func (u *ui) releaseHold(w http.ResponseWriter, v *view) error {
	values, err := v.sent(w, nil, "reason")
	if err != nil {
		return err
	}
	wrong := ""
	if values.Get("reason") == "" {
		wrong = "Say why the hold is released: it stays in the trail."
	} else if wrong, err = correctable(u.call(v, http.MethodPost, apiPath(v.name, "holds", v.r.PathValue("hold"), "release"), map[string]any{"reason": values.Get("reason")}, nil)); err != nil {
		return err
	}
	if wrong != "" {
		return u.showHolds(w, v, http.StatusUnprocessableEntity, formPage{nil, wrong})
	}
	return u.done(w, v, trailPath(v.name, "holds"), notice{Title: "The hold is released", Detail: "What it covered may expire and be erased again, unless another hold covers it."})
}

// problemText returns what is shown of an error that says what is wrong with a form.
func problemText(err error) string {
	if p, ok := err.(*problem); ok {
		return p.detail
	}
	return sentence(err.Error())
}
