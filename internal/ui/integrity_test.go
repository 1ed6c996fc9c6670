package ui

import (
	"testing"

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
	contains(t, body, "No witness has cosigned a checkpoint")
	cosign(t, trails["default"])
	contains(t, mustGet(t, h, "/trails/default/integrity"), "the first 14 entries</td>", `<li>witness.example.com <span class="note"><time datetime="2`, `<span class="word good">witnessed</span>`)
	if status, _ := get(t, h, "/trails/default/integrity?x=1"); status != 400 {
		t.Errorf("an unknown parameter: %d", status)
	}
}
