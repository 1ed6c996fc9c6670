package ui

import (
	"crypto/rand"
	"sync"
	"time"
)

// notice is what came of a form. It is shown once, to whoever sent that, on the page
// that the form leads to.
type notice struct {
	Title  string
	Detail string
	Secret string // shown to nobody again; empty: there is none

	who string    // principal
	at  time.Time // when it was made
}

// notices are those that were not shown yet.
type notices struct {
	mu   sync.Mutex
	byID map[string]notice
}

const (
	// noticeParameter names a notice in the address of the page that shows it.
	noticeParameter = "done"

	noticeFor  = 10 * time.Minute // how long it waits to be shown
	maxNotices = 1000
)

// put keeps a notice and returns the id to take it with.
func (n *notices) put(what notice, now time.Time) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byID == nil {
		n.byID = map[string]notice{}
	}
	oldest := ""
	for id, other := range n.byID {
		if now.Sub(other.at) > noticeFor {
			delete(n.byID, id)
		} else if oldest == "" || other.at.Before(n.byID[oldest].at) {
			oldest = id
		}
	}
	if len(n.byID) >= maxNotices {
		delete(n.byID, oldest)
	}
	what.at = now
	id := rand.Text()
	n.byID[id] = what
	return id
}

// take returns the notice for somebody, who cannot take it again; nil: there is none.
func (n *notices) take(id, who string, now time.Time) *notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	what, ok := n.byID[id]
	if !ok || what.who != who || now.Sub(what.at) > noticeFor {
		return nil
	}
	delete(n.byID, id)
	return &what
}
