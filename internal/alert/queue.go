package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/custodylog/custody/internal/vfs"
)

const (
	queueVersion = 1
	maxQueued    = 1000    // deliveries that wait for one webhook
	maxMessage   = 1 << 20 // bytes of a file
)

// message is what a webhook is told.
type message struct {
	ID    string    // webhook-id
	About string    // rule, or code of the alert
	Kind  string    // type of the message
	Time  time.Time // when it happened
	Data  any
}

// delivery is a message on its way to one webhook.
type delivery struct {
	Version int             `json:"version"`
	ID      string          `json:"id"`
	Webhook string          `json:"webhook"`
	About   string          `json:"about"`
	Since   time.Time       `json:"since"` // it waits
	Body    json.RawMessage `json:"body"`

	attempts int
	next     time.Time // when it is tried again
	kept     bool      // there is a file
}

// queue is what waits to be delivered.
type queue struct {
	fs   vfs.FS
	dir  string
	log  *slog.Logger
	drop func(*delivery, error) // is told what there was no room for

	mu      sync.Mutex
	waiting []*delivery              // guarded by mu; in order of arrival
	wake    map[string]chan struct{} // by webhook: something was added
}

func (q *queue) file(d *delivery) string {
	return filepath.Join(q.dir, d.ID+"."+d.Webhook+".json")
}

// load reads what waited when the server ended. What is for a webhook that is not there
// any more is removed.
func (q *queue) load() error {
	names, err := q.fs.List(q.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(q.dir, name)
		if !strings.HasSuffix(name, ".json") {
			continue // an unfinished file, which is written over or harmless
		}
		var d delivery
		b, err := vfs.ReadFile(q.fs, path, maxMessage)
		if err == nil {
			err = json.Unmarshal(b, &d)
		}
		if err == nil && d.Version != queueVersion {
			err = fmt.Errorf("it has version %d; this program reads version %d", d.Version, queueVersion)
		}
		if err == nil && q.file(&d) != path {
			err = fmt.Errorf("it is about %s and the webhook %q", d.ID, d.Webhook)
		}
		switch {
		case err != nil:
			q.log.Error("custody: an alert that waits cannot be read, so it is left alone", "file", path, "err", err)
			continue
		case q.wake[d.Webhook] == nil:
			q.log.Warn("custody: an alert is not delivered, since its webhook is not in the configuration any more", "webhook", d.Webhook, "about", d.About, "id", d.ID)
			err = vfs.Discard(q.fs, path)
		default:
			d.kept = true
			q.waiting = append(q.waiting, &d)
		}
		if err != nil {
			return err
		}
	}
	slices.SortStableFunc(q.waiting, func(a, b *delivery) int { return a.Since.Compare(b.Since) })
	return nil
}

// add puts a message in line for some webhooks. With keep it is on the disk, if that
// works, when add returns; if it does not, the message is delivered from memory.
func (q *queue) add(m message, webhooks []string, keep bool) {
	body, err := json.Marshal(struct {
		Type string    `json:"type"`
		Time time.Time `json:"timestamp"`
		Data any       `json:"data"`
	}{m.Kind, m.Time.UTC(), m.Data})
	if err != nil {
		q.log.Error("custody: an alert cannot be written as JSON", "about", m.About, "err", err)
		return
	}
	for _, name := range webhooks {
		d := &delivery{Version: queueVersion, ID: m.ID, Webhook: name, About: m.About, Since: time.Now().UTC(), Body: body}
		waiting, room, known := 0, maxQueued, false
		q.mu.Lock()
		for _, o := range q.waiting {
			if o.Webhook == name { // one that takes nothing has no room of the others
				waiting++
				known = known || o.ID == d.ID
			}
		}
		q.mu.Unlock()
		if known {
			continue
		}
		if !keep {
			room *= 2 // alerts of the operation have room when those of rules have none
		}
		if waiting >= room {
			q.drop(d, fmt.Errorf("%d alerts wait for it already", waiting))
			continue
		}
		if keep {
			b, err := json.Marshal(d)
			if err == nil {
				err = vfs.WriteFileAtomic(q.fs, q.file(d), b)
			}
			if d.kept = err == nil; err != nil {
				q.log.Error("custody: an alert is delivered from memory, since it cannot be kept on the disk", "about", m.About, "err", err)
			}
		}
		q.mu.Lock()
		q.waiting = append(q.waiting, d)
		q.mu.Unlock()
		select {
		case q.wake[name] <- struct{}{}:
		default: // it is awake
		}
	}
}

// next returns the delivery to a webhook that is due first, and when; nil if none waits.
func (q *queue) next(webhook string) (first *delivery, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.waiting {
		if d.Webhook == webhook && (first == nil || d.next.Before(first.next)) {
			first = d
		}
	}
	if first != nil {
		at = first.next
	}
	return first, at
}

// again puts off a delivery that failed.
func (q *queue) again(d *delivery, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.next = at
}

// done takes a delivery out.
func (q *queue) done(d *delivery) {
	q.mu.Lock()
	q.waiting = slices.DeleteFunc(q.waiting, func(o *delivery) bool { return o == d })
	q.mu.Unlock()
	if !d.kept {
		return
	}
	if err := q.fs.Remove(q.file(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		q.log.Error("custody: an alert is delivered once more after the next start, since its file cannot be removed", "file", q.file(d), "err", err)
	}
}

// count returns how many deliveries wait for a webhook.
func (q *queue) count(webhook string) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.waiting {
		if d.Webhook == webhook {
			n++
		}
	}
	return n
}
