package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/wire"
)

// erasurePage is what somebody may ask to have erased, and what was asked for.
type erasurePage struct {
	Trail        string
	SecondPerson bool
	Form         formPage
	Types        []string // of events, to choose from
	Plan         *wire.Erasure
	Open, Ended  []request
}

// Chosen returns the fields that say which payloads are to go.
func (p *erasurePage) Chosen() url.Values { return without(p.Form.Values, groundNames...) }

// request is a removal that somebody asked for.
type request struct {
	dualcontrol.Request
	Asks []fact // what it asks for, while it is open
	Own  bool   // whoever sees the page asked for it
}

// Tone returns the class that its state is shown in.
func (r *request) Tone() string {
	switch r.State {
	case dualcontrol.Executed:
		return "good"
	case dualcontrol.Failed, dualcontrol.Refused:
		return "bad"
	case dualcontrol.Pending, dualcontrol.Approved:
		return "partial"
	}
	return ""
}

// Pending reports whether nobody has decided yet.
func (r *request) Pending() bool { return r.State == dualcontrol.Pending }

// Approved reports whether it is to be done.
func (r *request) Approved() bool { return r.State == dualcontrol.Approved }

// maxEnded bounds how many requests are listed of which nothing more comes.
const maxEnded = 50

// erasureNames are the fields of the form that say which payloads are to go, and
// groundNames those that say why.
var (
	erasureNames = append(slices.Clone(coveringNames), "indices", "field", "value")
	groundNames  = []string{"ground", "requester", "reason", "except_held"}
)

func (u *ui) erasure(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r, noticeParameter); err != nil {
		return err
	}
	return u.showErasure(w, v, http.StatusOK, formPage{}, nil)
}

func (u *ui) showErasure(w http.ResponseWriter, v *view, status int, form formPage, plan *wire.Erasure) error {
	p := &erasurePage{Trail: v.name, SecondPerson: u.SecondPerson, Form: form, Types: typeNames(), Plan: plan}
	if u.SecondPerson {
		var answer struct{ Requests []dualcontrol.Request }
		if err := u.call(v, http.MethodGet, "/v1/requests", nil, &answer); err != nil {
			return err
		}
		for _, r := range slices.Backward(answer.Requests) {
			if r.Trail != v.name && r.Trail != "" {
				continue
			}
			one := request{Request: r, Own: r.By == v.who()}
			var asks map[string]any
			if len(r.Parameters) > 0 {
				if err := json.Unmarshal(r.Parameters, &asks); err != nil {
					return fmt.Errorf("request %s: %w", r.ID, err)
				}
				one.Asks = flatten(asks)
			}
			if r.State.Open() {
				p.Open = append(p.Open, one)
			} else if len(p.Ended) < maxEnded {
				p.Ended = append(p.Ended, one)
			}
		}
	}
	return u.administration(w, v, status, "erasure", p)
}

// selection returns the body of a request of the API that says which payloads are to go.
func (v *view) selection(values url.Values) (map[string]any, string) {
	query, err := v.covering(without(values, append(groundNames, "indices", "field", "value")...))
	if err != nil {
		return nil, problemText(err)
	}
	body := map[string]any{}
	if len(query) > 0 {
		body["query"] = query
	}
	if values.Has("indices") {
		body["indices"] = values.Get("indices")
	}
	switch {
	case values.Has("field") != values.Has("value"):
		return nil, "A member of the payload is found by its JSON Pointer and its value: give both."
	case values.Has("field"):
		body["fields"] = map[string]string{values.Get("field"): values.Get("value")}
	}
	if len(body) == 0 {
		return nil, "Say which events: fill at least one of the fields in."
	}
	return body, ""
}

// planErasure shows what would go. It comes by POST so that whom it is about stands in no
// address.
func (u *ui) planErasure(w http.ResponseWriter, v *view) error {
	values, err := v.sent(w, nil, erasureNames...)
	if err != nil {
		return err
	}
	body, wrong := v.selection(values)
	var plan wire.Erasure
	if wrong == "" {
		if wrong, err = correctable(u.call(v, http.MethodPost, apiPath(v.name, "erasures", "plan"), body, &plan)); err != nil {
			return err
		}
	}
	if wrong != "" {
		return u.showErasure(w, v, http.StatusUnprocessableEntity, formPage{values, wrong}, nil)
	}
	return u.showErasure(w, v, http.StatusOK, formPage{Values: values}, &plan)
}

// askErasure asks for an erasure, which a second person has to approve.
func (u *ui) askErasure(w http.ResponseWriter, v *view) error {
	values, err := v.sent(w, nil, append(slices.Clone(erasureNames), groundNames...)...)
	if err != nil {
		return err
	}
	if !u.SecondPerson {
		return &problem{http.StatusForbidden, "The page does not erase", "On this server an erasure takes one person only, and that is not done by a click: use custody erase, or the API."}
	}
	body, wrong := v.selection(values)
	var plan wire.Erasure
	if wrong == "" {
		if err := u.call(v, http.MethodPost, apiPath(v.name, "erasures", "plan"), body, &plan); err != nil {
			return err
		}
		if !values.Has("ground") {
			wrong = "Say on what ground it is erased: it stays in the trail."
		}
	}
	var asked struct{ Request *dualcontrol.Request }
	if wrong == "" {
		for _, name := range []string{"ground", "requester", "reason"} {
			if values.Has(name) {
				body[name] = values.Get(name)
			}
		}
		if values.Has("except_held") {
			body["except_held"] = true
		}
		if wrong, err = correctable(u.call(v, http.MethodPost, apiPath(v.name, "erasures"), body, &asked)); err != nil {
			return err
		}
	}
	if wrong != "" {
		return u.showErasure(w, v, http.StatusUnprocessableEntity, formPage{values, wrong}, &plan)
	}
	if asked.Request == nil {
		return fmt.Errorf("trail %s: an erasure was to be requested, and was done", v.name)
	}
	return u.done(w, v, trailPath(v.name, "erasure"), notice{Title: "The erasure is requested", Detail: "Nothing is erased yet: somebody else has to approve it by " + clock(asked.Request.Expires) + " UTC."})
}

// verbs are the decisions on a request, by the last part of their paths.
var verbs = map[string]notice{
	"approve":  {Title: "The request is approved", Detail: "The server does it when its time has come. Until then it can be refused or withdrawn."},
	"refuse":   {Title: "The request is refused", Detail: "Nothing comes of it."},
	"withdraw": {Title: "The request is withdrawn", Detail: "Nothing comes of it."},
}

func (u *ui) decideErasure(w http.ResponseWriter, v *view) error {
	if _, err := v.sent(w, nil); err != nil {
		return err
	}
	verb := v.r.PathValue("verb")
	said, ok := verbs[verb]
	if !ok {
		return &problem{http.StatusNotFound, "There is no such page", "Nothing is at " + v.r.URL.Path + "."}
	}
	if err := u.call(v, http.MethodPost, "/v1/requests/"+url.PathEscape(v.r.PathValue("request"))+"/"+verb, nil, nil); err != nil {
		return err
	}
	return u.done(w, v, trailPath(v.name, "erasure"), said)
}
