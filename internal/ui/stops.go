package ui

import (
	"net/http"
	"time"

	"github.com/custodylog/custody/event"
)

// stopsPage is the emergency stops of a trail that hold.
type stopsPage struct {
	Trail string
	Stops []emergencyStop
	Form  formPage
}

// emergencyStop is one of them, as the API has it.
type emergencyStop struct {
	ID         string   `json:"id"`
	Index      uint64   `json:"index"`
	Time       string   `json:"time"`
	Type       string   `json:"stop_type"`
	By         string   `json:"by"`
	Reason     string   `json:"reason"`
	Agents     []string `json:"agents"`
	Session    string   `json:"session_id"`
	Project    string   `json:"project_id"`
	LastAction *struct {
		Index   uint64  `json:"index"`
		AfterMS float64 `json:"after_ms"`
	} `json:"last_action"`
}

// Stops returns whom it stops.
func (s *emergencyStop) Stops() []fact {
	switch s.Type {
	case "agent":
		var facts []fact
		for _, id := range s.Agents {
			facts = append(facts, fact{Name: "agent", Value: id})
		}
		return facts
	case "session":
		return []fact{{Name: "session", Value: s.Session}}
	case "project":
		return []fact{{Name: "project", Value: s.Project}}
	}
	return nil
}

// After returns how long after the stop something ran last.
func (s *emergencyStop) After() string {
	return (time.Duration(s.LastAction.AfterMS*1000) * time.Microsecond).Round(time.Millisecond).String()
}

func (u *ui) stops(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r, noticeParameter); err != nil {
		return err
	}
	return u.showStops(w, v, http.StatusOK, formPage{})
}

func (u *ui) showStops(w http.ResponseWriter, v *view, status int, form formPage) error {
	p := &stopsPage{Trail: v.name, Form: form}
	if err := u.call(v, http.MethodGet, apiPath(v.name, "stops"), nil, p); err != nil {
		return err
	}
	return u.administration(w, v, status, "stops", p)
}

// stopAgents stops what the form names, at once.
func (u *ui) stopAgents(w http.ResponseWriter, v *view) error {
	values, err := v.sent(w, nil, "stop_type", "of", "reason")
	if err != nil {
		return err
	}
	body := map[string]any{"stop_type": values.Get("stop_type"), "reason": values.Get("reason")}
	of, wrong := values.Get("of"), ""
	switch values.Get("stop_type") {
	case "agent":
		body["agents"] = list(of)
	case "session":
		body["session_id"] = of
	case "project":
		body["project_id"] = of
	case "global":
		if of != "" {
			wrong = "A stop of everything names nobody: leave the field empty, or choose what it is the id of."
		}
	}
	if values.Get("reason") == "" {
		wrong = "Say why: agents and people are told, and it stays in the trail."
	}
	var stop emergencyStop
	if wrong == "" {
		if wrong, err = correctable(u.call(v, http.MethodPost, apiPath(v.name, "stops"), body, &stop)); err != nil {
			return err
		}
	}
	if wrong != "" {
		return u.showStops(w, v, http.StatusUnprocessableEntity, formPage{values, wrong})
	}
	return u.done(w, v, trailPath(v.name, "stops"), notice{Title: "Stopped", Detail: "From now on hooks and recorders refuse what the stop covers, and so does the gate. Entry " + number(stop.Index) + ", of the type " + string(event.EmergencyStop) + ", tells of it."})
}

func (u *ui) clearStop(w http.ResponseWriter, v *view) error {
	values, err := v.sent(w, nil, "reason")
	if err != nil {
		return err
	}
	wrong := ""
	if values.Get("reason") == "" {
		wrong = "Say why they may go on: it stays in the trail."
	} else if wrong, err = correctable(u.call(v, http.MethodPost, apiPath(v.name, "stops", v.r.PathValue("stop"), "clear"), map[string]any{"reason": values.Get("reason")}, nil)); err != nil {
		return err
	}
	if wrong != "" {
		return u.showStops(w, v, http.StatusUnprocessableEntity, formPage{nil, wrong})
	}
	return u.done(w, v, trailPath(v.name, "stops"), notice{Title: "The stop is lifted", Detail: "What it covered may go on, unless another stop covers it."})
}
