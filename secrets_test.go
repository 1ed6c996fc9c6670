package custody

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/segment"
)

// TestPlantedSecrets records secrets in all the places where programs leave them,
// and looks for them in every file of the trail, before it is sealed and after.
// That what is sealed is compressed does not hide them: each entry is read too.
func TestPlantedSecrets(t *testing.T) {
	t.Parallel()
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	secrets := map[string]event.Event{
		"pl4nted-one":          {Details: map[string]any{"env": map[string]any{"DB_PASSWORD": "pl4nted-one"}}},
		"pl4nted-two":          {Details: map[string]any{"input": `{"command":"DB_PASSWORD=pl4nted-two ./run"}`}},
		"pl4nted-six":          {Details: map[string]any{"error": "curl -H 'Authorization: Bearer pl4nted-six' failed"}},
		"pl4ntedseven":         {Details: map[string]any{"reason": "dial postgres://app:pl4ntedseven@db.example.org/x"}},
		"pl4ntedeight":         {Details: map[string]any{"resource": "https://example.org/?token=pl4ntedeight"}},
		"pl4ntednine":          {Details: map[string]any{"env": []any{map[string]any{"name": "API_KEY", "value": "pl4ntednine"}}}},
		"pl4nted-ten":          {Details: map[string]any{"output": base64.StdEncoding.EncodeToString([]byte("user: u\npassword: pl4nted-ten\n"))}},
		"AKIAQYLPMN5HFIQR7XYA": {AgentID: "agent AKIAQYLPMN5HFIQR7XYA", Source: "from AKIAQYLPMN5HFIQR7XYA"},
		"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": {ID: "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",
			Details: map[string]any{"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": map[string]any{"note": "see 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"}}},
	}
	for secret, e := range secrets {
		e.Type = event.ActionFailed
		if e.AgentID == "" {
			e.AgentID = "agent"
		}
		e.ActionID = "action"
		record(t, trail, e)
		if got := holdsText(t, dir, secret); len(got) > 0 {
			t.Errorf("%q is in %v", secret, got)
		}
		if got := holdsText(t, dir, base64.StdEncoding.EncodeToString([]byte(secret))[:12]); len(got) > 0 {
			t.Errorf("%q in base64 is in %v", secret, got)
		}
	}
	for n := trail.Size(); n < segment.Entries+10; n = trail.Size() {
		record(t, trail, turns(int(n), int(min(n+4096, segment.Entries+10)))...)
	}
	must(t, trail.Close())
	trail = openTrail(t, dir, Options{KeyDir: keys})
	for e, err := range trail.Entries(t.Context(), Query{}) {
		must(t, err)
		for secret := range secrets {
			if strings.Contains(string(e.Payload), secret) {
				t.Errorf("%q is in entry %d: %s", secret, e.Index, e.Payload)
			}
		}
	}
	failed := all(t, trail, Query{Types: []event.Type{event.ActionFailed}})
	if len(failed) != len(secrets) {
		t.Errorf("%d events were recorded, want %d", len(failed), len(secrets))
	}
	for _, e := range failed {
		if ev := get(e.Event())(t); len(ev.Redactions) == 0 || ev.ID == "" {
			t.Errorf("nothing is listed: %s", fmt.Sprint(ev))
		}
	}
}
