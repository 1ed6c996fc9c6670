package ui

import (
	"crypto/ed25519"
	"fmt"
	"html"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
)

func TestIntegrity(t *testing.T) {
	trails := set{"default": newTrail(t, story()...)}
	h := handler(trails, allowed)
	contains(t, mustGet(t, h, "/trails/default/integrity"), "14 entries, root", "example.com/agents&#43;", "— example.com/agents ", "Verify the whole trail", "Evidence bundle", "in force",
		"none</span> Whoever holds the signing key")
	body := mustGet(t, handler(trails, only(auth.ReadEntries)), "/trails/default/integrity")
	contains(t, body, "takes the permission verify")
	lacks(t, body, "verification-start", "Evidence bundle")
	c, err := trails["default"].Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	contains(t, html.UnescapeString(body), fmt.Sprintf("<td data-label=\"Root\"><code>%s</code></td>", c.Checkpoint.Root))
	contains(t, body, "No witness has cosigned one of these", "the first 14 entries</td>", fmt.Sprintf("<code>%s</code>", c.KeyIDs[0]), c.Last.Format("2006-01-02 15:04:05")+"</time>")
	cosign(t, trails["default"])
	body = mustGet(t, h, "/trails/default/integrity")
	lacks(t, body, "No witness has cosigned")
	contains(t, body, "the first 14 entries</td>", `<li>witness.example.com <span class="note"><time datetime="2`, `<span class="word good">witnessed</span>`)
	if status, _ := get(t, h, "/trails/default/integrity?x=1"); status != 400 {
		t.Errorf("an unknown parameter: %d", status)
	}
}

// TestCheckpointHistory: what the trail keeps is listed, with or without witnesses, the
// newest first.
func TestCheckpointHistory(t *testing.T) {
	trail := newTrail(t, story()...)
	page := func() string {
		return mustGet(t, handler(set{"default": trail}, allowed), "/trails/default/integrity")
	}
	rows := func(body string) int { return strings.Count(body, `data-label="Covers"`) }
	if body := page(); rows(body) != 1 {
		t.Errorf("%d rows for the newest", rows(body))
	}
	for i := range maxKept + 1 {
		_, next, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trail.RotateKey(t.Context(), next, "operator@example.com", "drill"); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			// The checkpoint of the change is signed with both keys, and the next takes no place from it.
			record(t, trail, event.Event{Type: event.MessageSent})
			if body := page(); rows(body) != 2 || strings.Index(body, "the first 16 entries</td>") > strings.Index(body, "the first 15 entries</td>") {
				t.Errorf("%d rows after a change of key:\n%s", rows(body), body)
			}
		}
	}
	body := page()
	if rows(body) != maxKept {
		t.Errorf("%d rows, want %d", rows(body), maxKept)
	}
	contains(t, body, "These are the newest 50; there are older ones.")
}

// TestLastVerification: what the last verification found outlives the server that ran it.
func TestLastVerification(t *testing.T) {
	d := newDesk(t, false, nil, story()...)
	record(t, d.system,
		event.Event{Type: event.VerificationFailed, Details: map[string]any{"trail": "default", "finding": "altered", "what": "trail default: " + hostile, "index": 8, "findings": 2}},
		event.Event{Type: event.VerificationFailed, Details: map[string]any{"trail": "other", "what": "of another", "index": 1, "findings": 2}})
	failed := d.system.Size() - 2
	none := "None of this trail is among the last 1,000 verifications"
	contains(t, d.get(t, "", "/trails/default/integrity"), none)
	record(t, d.system, event.Event{Type: event.VerificationCompleted, Details: map[string]any{"trail": "default", "findings": 2, "size": 1400, "strength": "self-signed only", "by": "token:alice"}},
		event.Event{Type: event.VerificationCompleted, Details: map[string]any{"trail": "other", "findings": 2, "size": 3}},
		event.Event{Type: event.VerificationCompleted, Details: map[string]any{"trail": "default", "findings": 0, "size": 1400, "from_index": 1300}}, // of a part
		event.Event{Type: event.VerificationFailed, Details: map[string]any{"trail": "default", "what": "of one that has not ended", "index": 9, "findings": 2}})
	body := d.get(t, "", "/trails/default/integrity")
	link := fmt.Sprintf(`<a href="/trails/system/events/%d">The event that tells of it</a>`, failed)
	contains(t, body, "2 things did not check out", "1,400 entries were verified; self-signed only.", "asked for by token:alice", `<a href="/trails/default/events/8">entry 8</a>: &#34;&gt;`, link, "/trails/system/events?event_type=verification_failed")
	lacks(t, body, none, "of another", "<script>alert")
	contains(t, d.get(t, "", fmt.Sprintf("/trails/system/events/%d", failed)), "verification failed")

	// Who may verify this trail, and not read the server's own, gets no link there.
	body = d.get(t, d.token(t, "auditor", []string{"default"}, auth.Auditor), "/trails/default/integrity")
	contains(t, body, "2 things did not check out", "entry 8")
	lacks(t, body, "/trails/system/")
	lacks(t, d.get(t, d.token(t, "reader", nil, auth.Reader), "/trails/default/integrity"), "did not check out", none)

	record(t, d.system, event.Event{Type: event.VerificationCompleted, Details: map[string]any{"trail": "default", "findings": 0, "size": 1401}})
	body = d.get(t, "", "/trails/default/integrity")
	contains(t, body, "The trail checked out", "1,401 entries were verified.")
	lacks(t, body, "The event that tells of it")
}
