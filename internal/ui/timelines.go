package ui

import (
	"net/http"
	"time"

	"github.com/custodylog/custody"
)

// timelinesPage asks what a timeline is to be of.
type timelinesPage struct {
	Trail    string
	Sessions []session // the one with the newest event first
	Read     int       // events that were looked through for them
	More     bool      // there are older events
}

// session is what the newest events tell of a session.
type session struct {
	ID     string
	Agents []string // at most maxAgents
	Others int      // further ones
	Events int
	Last   time.Time
}

const (
	sessionEvents = 1000 // of the newest, that are looked through for sessions
	maxSessions   = 20   // that are listed
	maxAgents     = 3    // that are named of each
)

// timelines shows the form for a timeline, and the sessions of the newest events.
func (u *ui) timelines(w http.ResponseWriter, v *view) error {
	rows, err := v.events(custody.Query{Newest: true, Limit: sessionEvents + 1})
	if err != nil {
		return err
	}
	p := &timelinesPage{Trail: v.name, Read: min(len(rows), sessionEvents), More: len(rows) > sessionEvents}
	p.Sessions = sessionsOf(rows[:p.Read])
	return u.show(w, v, "timelines.html", layout{Title: "Timeline", Section: "timeline"}, p)
}

// sessionsOf returns the sessions of events, which come with the newest first.
func sessionsOf(rows []row) []session {
	var all []session
	at := map[string]int{}        // of a session in all
	named := map[[2]string]bool{} // sessions and their agents
	for i := range rows {
		r := &rows[i]
		if r.SessionID == "" {
			continue
		}
		n, ok := at[r.SessionID]
		if !ok {
			if len(all) == maxSessions {
				continue
			}
			n = len(all)
			at[r.SessionID] = n
			all = append(all, session{ID: r.SessionID, Last: r.Recorded})
		}
		s := &all[n]
		s.Events++
		if key := [2]string{r.SessionID, r.AgentID}; r.AgentID != "" && !named[key] {
			named[key] = true
			if len(s.Agents) < maxAgents {
				s.Agents = append(s.Agents, r.AgentID)
			} else {
				s.Others++
			}
		}
	}
	return all
}
