package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// An emergency stop that holds is not lost to an erasure: after a restart hooks are denied
// what it covers. Lifted, it goes, and does not come back without its end.
func TestStopOutlivesErasure(t *testing.T) {
	data, state := filepath.Join(t.TempDir(), "data"), t.TempDir()
	p, url := startServer(t, data)
	restart := func() {
		t.Helper()
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.wait()
		p, url = startServer(t, data)
	}
	ask := func(path, body string, want int) (answer struct {
		ID, Code, Entries string
		Held              []struct{ Stop, Hold, Reason, Entries string }
		Stops             []string
	}) {
		t.Helper()
		resp, err := http.Post(url+"/v1/trails/default/"+path, "application/json", strings.NewReader(body))
		check(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		check(t, err)
		if err := json.Unmarshal(b, &answer); err != nil || resp.StatusCode != want {
			t.Fatalf("%s: %d: %s", path, resp.StatusCode, b)
		}
		return answer
	}
	denied := func(call string) bool {
		t.Helper()
		out, errs, status := hookProcess(t, state, toolCall("PreToolUse", call), "claude-code", "--trail", url+"/trails/default")
		if status != exitOK || errs != "" {
			t.Fatalf("exit status %d: %s%s", status, out, errs)
		}
		return strings.Contains(out, `"deny"`) && strings.Contains(out, "it deletes files")
	}
	stop := ask("stops", `{"stop_type":"agent","agents":["claude-code"],"reason":"it deletes files"}`, http.StatusCreated)
	if !denied("1") {
		t.Error("the stop does not hold")
	}
	const types = `{"query":{"event_type":["emergency_stop","emergency_stop_cleared"]}`
	plan := ask("erasures/plan", types+"}", http.StatusOK)
	if len(plan.Held) != 1 || plan.Held[0].Stop != stop.ID || plan.Held[0].Hold != "" || plan.Held[0].Reason != "an emergency stop that holds" || plan.Held[0].Entries != "1" || plan.Entries != "" {
		t.Errorf("the plan is %+v", plan)
	}
	const ground = `,"ground":"GDPR Art. 17(1)(b)"`
	if refused := ask("erasures", types+ground+"}", http.StatusConflict); refused.Code != "held" || len(refused.Stops) != 1 || refused.Stops[0] != stop.ID || refused.Entries != "1" {
		t.Errorf("refused with %+v", refused)
	}
	ask("erasures", types+ground+`,"except_held":true}`, http.StatusNotFound)
	restart()
	if !denied("2") {
		t.Error("the stop is lost")
	}
	ask("stops/"+stop.ID+"/clear", `{"reason":"mended"}`, http.StatusOK)
	ends := strings.Replace(types, `"emergency_stop",`, "", 1)
	if refused := ask("erasures", ends+ground+"}", http.StatusConflict); len(refused.Stops) != 1 || refused.Stops[0] != stop.ID {
		t.Errorf("its end alone: %+v", refused)
	}
	restart()
	if denied("3") {
		t.Error("a stop that was lifted holds again")
	}
	ask("erasures", types+ground+"}", http.StatusOK)
	restart()
	if denied("4") {
		t.Error("a stop that was lifted and erased holds again")
	}
	p.cmd.Process.Kill()
	p.wait()
	checkAcknowledged(t, data, nil)
}
