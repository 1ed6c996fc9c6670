package transcript

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/ingesttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// transcripts returns the real transcripts, by name.
func transcripts(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := ingest.Files("../testdata/claude-code", ingest.Extension(".jsonl"))
	if err != nil || len(paths) != 7 {
		t.Fatalf("%d transcripts, %v", len(paths), err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		r, err := ingest.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if all[filepath.Base(path)], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func read(t testing.TB, text string) []ingest.Item {
	t.Helper()
	items, err := ingesttest.Read(Read).All(strings.NewReader(text), ingest.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ingesttest.Check(items, source); err != nil {
		t.Fatal(err)
	}
	return items
}

func TestRealTranscripts(t *testing.T) {
	var everything []ingest.Item
	for name, data := range transcripts(t) {
		t.Run(name, func(t *testing.T) {
			items := read(t, string(data))
			everything = append(everything, items...)
			checkCounts(t, data, items)
			checkNothingLost(t, data, items)
			if err := ingesttest.Read(Read).Again(data, items); err != nil {
				t.Error(err)
			}
			if err := ingesttest.Read(Read).Growing(data, items); err != nil {
				t.Error(err)
			}
		})
	}
	if err := ingesttest.Check(sortedByLine(everything), source); err != nil {
		t.Errorf("of all transcripts together: %v", err)
	}
	got := ingesttest.Summary(everything)
	golden := "testdata/summary.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func sortedByLine(items []ingest.Item) []ingest.Item {
	return slices.SortedStableFunc(slices.Values(items), func(a, b ingest.Item) int { return a.Line - b.Line })
}

// checkCounts counts the blocks with encoding/json alone.
func checkCounts(t *testing.T, data []byte, items []ingest.Item) {
	t.Helper()
	uses, results := map[string]string{}, map[string]bool{}
	lines := 0
	for s := lineScanner(data); s.Scan(); lines++ {
		var line struct {
			Message struct {
				Content json.RawMessage `json:"content"`
			} `json:"message"`
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		var blocks []struct {
			Type, ID, Name string
			ToolUseID      string `json:"tool_use_id"`
			IsError        bool   `json:"is_error"`
		}
		if len(line.Message.Content) == 0 || line.Message.Content[0] != '[' {
			continue
		}
		if err := json.Unmarshal(line.Message.Content, &blocks); err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			switch b.Type {
			case "tool_use":
				uses[b.ID] = b.Name
			case "tool_result":
				results[b.ToolUseID] = b.IsError
			}
		}
	}
	requested, ended := 0, 0
	seen := map[int]bool{}
	for _, item := range items {
		e := item.Event
		seen[item.Line] = true
		switch e.Type {
		case event.ActionRequested:
			requested++
			if name := uses[e.ActionID]; name == "" || name != e.Details["tool_name"] {
				t.Errorf("line %d: tool %v, want %q", item.Line, e.Details["tool_name"], name)
			}
		case event.ActionExecuted, event.ActionFailed, event.ActionDenied, event.ActionCancelled:
			ended++
			failed, there := results[e.ActionID]
			if !there || failed != (e.Type != event.ActionExecuted) {
				t.Errorf("line %d: %s, but is_error is %v", item.Line, e.Type, failed)
			}
			if e.Details["tool_name"] != uses[e.ActionID] {
				t.Errorf("line %d: result of %v, want %q", item.Line, e.Details["tool_name"], uses[e.ActionID])
			}
		}
	}
	if requested != len(uses) || ended != len(results) {
		t.Errorf("%d requests of %d tool_use blocks, %d ends of %d tool_result blocks", requested, len(uses), ended, len(results))
	}
	for n := 1; n <= lines; n++ {
		if !seen[n] {
			t.Errorf("no item for line %d", n)
		}
	}
}

func lineScanner(data []byte) *bufio.Scanner {
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, len(data)+1)
	return s
}

func checkNothingLost(t *testing.T, data []byte, items []ingest.Item) {
	t.Helper()
	byLine := map[int][]ingest.Item{}
	for _, item := range items {
		byLine[item.Line] = append(byLine[item.Line], item)
	}
	s := lineScanner(data)
	for n := 1; s.Scan(); n++ {
		// The type of an event says that of its block.
		if err := ingesttest.Lost(s.Bytes(), byLine[n], "text", "thinking", "tool_use", "tool_result"); err != nil {
			t.Errorf("line %d: %v", n, err)
		}
	}
}

// Every parent that is named is an event, be it of another file of the session.
func TestParents(t *testing.T) {
	ids, parents := map[string]bool{}, map[string]string{}
	for name, data := range transcripts(t) {
		for _, item := range read(t, string(data)) {
			ids[item.Event.ID] = true
			parents[item.Event.ParentID] = name
		}
	}
	delete(parents, "")
	for id, name := range parents {
		if !ids[id] {
			t.Errorf("%s: no event %s", name, id)
		}
	}
	if len(parents) < 1000 {
		t.Errorf("only %d parents", len(parents))
	}
}

func TestLines(t *testing.T) {
	const head = `"uuid":"u1","sessionId":"s","timestamp":"2026-02-11T20:36:45.618Z"`
	for _, tt := range []struct {
		name, lines string
		want        []string // type, and what else is to be there
	}{
		{"session", `{"type":"user",` + head + `,"version":"2.1.39","cwd":"/w","gitBranch":"main","message":{"role":"user","content":"hi ☃"}}`,
			[]string{`session_started agent_version=2.1.39 cwd=/w agent_product=claude-code`, `turn_started prompt=hi ☃ prompt_chars=4`}},
		{"sub-agent", `{"type":"user",` + head + `,"version":"2.1.39","isSidechain":true,"agentId":"a1","message":{"content":"look"}}`,
			[]string{`subagent_started agent_id=a1 parent_agent_id=claude-code session_id=s`, `turn_started agent_id=a1`}},
		{"permission mode", `{"type":"user",` + head + `,"permissionMode":"default","message":{"content":"a"}}
			{"type":"permission-mode","permissionMode":"default","sessionId":"s"}
			{"type":"permission-mode","permissionMode":"bypassPermissions","sessionId":"s"}`,
			[]string{`turn_started permission_mode=default`, `transcript_permission_mode`, `permission_mode_changed from_mode=default to_mode=bypassPermissions`, `transcript_permission_mode`}},
		{"several blocks", `{"type":"assistant",` + head + `,"message":{"model":"m","stop_reason":"tool_use","usage":{"input_tokens":3},"content":[
			{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"text","text":"I look."},
			{"type":"tool_use","id":"toolu_1","name":"mcp__files__read","input":{"path":"/etc"},"caller":{"type":"direct"}},{"type":"new_kind","x":1},5]}}`,
			[]string{`assistant_thinking thinking=hm model=m`, `assistant_message text=I look.`, `action_requested action_id=toolu_1 server=files resource=/etc`, `transcript_line`, `transcript_line`}},
		{"end of a turn", `{"type":"assistant",` + head + `,"message":{"stop_reason":"end_turn","content":[{"type":"text","text":"Done."}]}}
			{"type":"system","subtype":"turn_duration","durationMs":5,"sessionId":"s"}`,
			[]string{`assistant_message text=Done.`, `turn_ended status=end_turn last_message_digest=` + ingest.TextDigest("Done."), `transcript_turn_duration`}},
		{"turn without a stop reason", `{"type":"user",` + head + `,"message":{"content":"a"}}
			{"type":"system","subtype":"turn_duration","durationMs":5,"sessionId":"s"}`,
			[]string{`turn_started`, `turn_ended status=completed duration_ms=5`}},
		{"turn that hooks let end", `{"type":"user",` + head + `,"message":{"content":"a"}}
			{"type":"system","subtype":"stop_hook_summary","preventedContinuation":true,"sessionId":"s"}
			{"type":"system","subtype":"stop_hook_summary","preventedContinuation":false,"sessionId":"s"}`,
			[]string{`turn_started`, `hook_summary`, `hook_summary`, `turn_ended status=completed`}},
		{"interrupted", `{"type":"user",` + head + `,"message":{"content":[{"type":"text","text":"[Request interrupted by user for tool use]"}]}}`,
			[]string{`turn_ended status=interrupted`}},
		{"picture in the prompt", `{"type":"user",` + head + `,"message":{"content":[{"type":"text","text":"see"},{"type":"image","source":{"data":"AAAA"}}]}}`,
			[]string{`turn_started prompt=see content=[map[text:see type:text] map[source:map[data:AAAA] type:image]]`}},
		{"not a prompt", `{"type":"user",` + head + `,"isMeta":true,"message":{"content":"reminder"}}
			{"type":"user","sessionId":"s","message":{"content":"<local-command-stdout>x</local-command-stdout>"}}
			{"type":"user","sessionId":"s","isCompactSummary":true,"message":{"content":"so far"}}
			{"type":"system","subtype":"compact_boundary","sessionId":"s"}`,
			[]string{`context_added text=reminder`, `local_command`, `context_summary text=so far`, `context_compacted`}},
		{"model could not be asked", `{"type":"assistant",` + head + `,"isApiErrorMessage":true,"message":{"model":"<synthetic>","stop_reason":"stop_sequence","content":[{"type":"text","text":"API Error: 529"}]}}
			{"type":"system","subtype":"api_error","retryAttempt":1,"sessionId":"s"}`,
			[]string{`api_error text=API Error: 529 severity=error`, `turn_ended status=error`, `api_error severity=warning`}},
		{"tool at the model's side", `{"type":"assistant",` + head + `,"message":{"content":[{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}},
			{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":{"type":"web_search_tool_result_error","error_code":"max_uses_exceeded"}}]}}`,
			[]string{`action_requested tool_name=web_search`, `action_failed tool_name=web_search error=max_uses_exceeded`}},
		{"checkpoint", `{"type":"file-history-snapshot","messageId":"m1","snapshot":{"timestamp":"2026-02-11T20:36:45.693Z"},"isSnapshotUpdate":false}`,
			[]string{`checkpoint_created checkpoint_id=m1 occurred_at=2026-02-11T20:36:45.693Z`}},
		{"progress", `{"type":"progress","sessionId":"s","parentToolUseID":"toolu_1","data":{"type":"bash_progress"}}
			{"type":"progress","sessionId":"s","parentToolUseID":"7c3b16d7","data":{"type":"hook_progress"}}`,
			[]string{`transcript_progress action_id=toolu_1 severity=info`, `transcript_progress action_id=`}},
		{"kinds that are not known", `{"type":"brand-new","sessionId":"s"}
			{"type":"system","subtype":"brand-new"}
			{"type":"user","message":{"content":[]}}
			{"type":"assistant"}
			{}`,
			[]string{`transcript_line session_id=s severity=`, `transcript_line`, `transcript_line`, `transcript_line`, `transcript_line`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			items := read(t, joinObjects(tt.lines))
			compare(t, items, tt.want)
			for i, item := range items {
				if known := item.Event.Type != typeLine; item.Mapped != known {
					t.Errorf("item %d, %s: mapped is %v", i, item.Event.Type, item.Mapped)
				}
			}
		})
	}
}

// joinObjects puts each of the objects, which are indented, on one line.
func joinObjects(s string) string {
	var out bytes.Buffer
	for d := json.NewDecoder(strings.NewReader(s)); d.More(); out.WriteByte('\n') {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			panic(err)
		}
		if err := json.Compact(&out, raw); err != nil {
			panic(err)
		}
	}
	return out.String()
}

func compare(t *testing.T, items []ingest.Item, want []string) {
	t.Helper()
	if err := ingesttest.Compare(items, want); err != nil {
		t.Error(err)
	}
}

func TestResults(t *testing.T) {
	for _, tt := range []struct{ name, result, line, want string }{
		{"success", `"content":"ok"`, `,"toolUseResult":{"durationMs":12}`,
			`action_executed outcome=success output=ok output_bytes=2 output_digest=` + ingest.TextDigest("ok") + ` execution_time_ms=12 tool_name=Bash`},
		{"said to be none", `"content":"ok","is_error":false`, `,"toolUseResult":{"durationSeconds":1.5}`, `action_executed outcome=success execution_time_ms=1500`},
		{"interrupted", `"content":"part"`, `,"toolUseResult":{"interrupted":true}`, `action_executed outcome=cancelled`},
		{"blocks", `"content":[{"type":"text","text":"a"}]`, ``, `action_executed output_bytes=` + "28" + ` output_digest=` + ingest.TextDigest(`[{"text":"a","type":"text"}]`)},
		{"failure", `"content":"Exit code 1\nno","is_error":true`, `,"toolUseResult":"Error: Exit code 1\nno"`,
			"action_failed outcome=failure error=Exit code 1\nno error_type=exit_code layer=tool tool_use_result=Error: Exit code 1\nno"},
		{"failure before it ran", `"content":"<tool_use_error>File does not exist.</tool_use_error>","is_error":true`, ``,
			`action_failed error=File does not exist. error_type=tool_use_error output=<tool_use_error>File does not exist.</tool_use_error>`},
		{"failure in blocks", `"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"is_error":true`, ``, "action_failed error=a\nb"},
		{"failure without words", `"is_error":true`, ``, `action_failed error=an error without words`},
		{"rejected", `"content":"The user doesn't want to proceed with this tool use. The tool use was rejected (eg.","is_error":true`, `,"toolUseResult":"User rejected tool use"`,
			`action_denied outcome=denied decision=deny decision_source=user_reject reasons=[The user doesn't want to proceed with this tool use. The tool use was rejected (eg.]`},
		{"rejected in other words", `"content":"No!","is_error":true`, `,"toolUseResult":"User rejected tool use"`, `action_denied decision_source=user_reject`},
		{"rule", `"content":"Permission to use Bash with command rm has been denied.","is_error":true`, ``, `action_denied decision_source=config_rule`},
		{"nobody to ask", `"content":"Claude requested permissions to write to /a, but you haven't granted it yet.","is_error":true`, ``, `action_denied decision_source=default`},
		{"classifier", `"content":"Permission for this action has been denied. Reason: x","is_error":true`, ``, `action_denied decision_source=classifier`},
		{"hook", `"content":"PreToolUse:Bash hook error: [guard.sh]: no rm","is_error":true`, `,"toolDenialKind":"permission-rule"`, `action_denied decision_source=hook`},
		{"kind alone", `"content":"new words","is_error":true`, `,"toolDenialKind":"permission-rule"`, `action_denied decision_source=config_rule`},
		{"called off", `"content":"The user doesn't want to take this action right now. STOP","is_error":true`, ``, `action_cancelled outcome=cancelled cancelled_by=user`},
		{"called off, kind alone", `"content":"new words","is_error":true`, `,"toolDenialKind":"cancelled"`, `action_cancelled outcome=cancelled`},
		{"the words in an output", `"content":"Permission to use Bash has been denied, says the log"`, ``, `action_executed outcome=success`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const use = `{"type":"assistant","uuid":"u1","sessionId":"s","message":{"content":[{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls"}}]}}`
			line := `{"type":"user","uuid":"u2","parentUuid":"u1","sessionId":"s","message":{"content":[{"type":"tool_result","tool_use_id":"toolu_1",` + tt.result + `}]}` + tt.line + `}`
			items := read(t, use+"\n"+line+"\n")
			compare(t, items, []string{`action_requested action_id=toolu_1 resource=ls input_digest=` + ingest.Digest(map[string]any{"command": "ls"}),
				tt.want + ` action_id=toolu_1 parent_id=transcript:s:u1:0`})
			if err := ingesttest.Lost([]byte(line), items[1:], "tool_result"); err != nil {
				t.Error(err)
			}
			if rest := ingest.Object(items[1].Event.Details, "line"); rest["uuid"] != "u2" || rest["toolUseResult"] != nil || ingest.Get(rest, "message", "content") != nil {
				t.Errorf("the rest of the line is %v", rest)
			}
		})
	}
}

func TestSubagentEnds(t *testing.T) {
	items := read(t, `{"type":"user","uuid":"u","sessionId":"s","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]},"toolUseResult":{"status":"completed","agentId":"a1","totalDurationMs":7}}
{"type":"user","uuid":"v","sessionId":"s","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]},"toolUseResult":{"status":"async_launched","agentId":"a2"}}`)
	compare(t, items, []string{`action_executed execution_time_ms=7 agent_id=claude-code`, `subagent_stopped agent_id=a1 parent_agent_id=claude-code`, `action_executed agent_id=claude-code`})
}

func TestDamagedLines(t *testing.T) {
	good := `{"type":"user","uuid":"u1","sessionId":"s","message":{"content":"a"}}`
	items := read(t, "\xef\xbb\xbf"+good+"\r\n\r\n"+
		good[:20]+"\n"+ // cut off
		good[:20]+"\xff\"}\n"+ // not UTF-8
		`{"a":1,"a":2}`+"\n"+
		"plain text\n"+
		`{"type":"user","uuid":"u2","sessionId":"s","n":[1e400,12345678901234567890],"message":{"content":"cut \ud83d off, \ud83d\ude00"}}`+"\n"+
		good+"\n"+good)
	compare(t, items, []string{`turn_started`, `transcript_line raw=` + good[:20], `transcript_line raw=<nil>`, `transcript_line raw={"a":1,"a":2}`,
		`transcript_line raw=plain text`, `turn_started prompt=cut \ud83d off, 😀`, `turn_started id=transcript:s:u1#2:0`, `turn_started id=transcript:s:u1#3:0`})
	for i, want := range []string{"", "byte 15", "base64", "stands twice", "malformed JSON at byte 0", "/n/0", "", ""} {
		if got := strings.Join(items[i].Event.Defects, "; "); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("item %d: defects %q, want …%s…", i, got, want)
		}
	}
	if lines := []int{1, 3, 4, 5, 6, 7, 8, 9}; !slices.EqualFunc(items, lines, func(i ingest.Item, n int) bool { return i.Line == n }) {
		t.Errorf("not the lines %v", lines)
	}
}

func TestLongOutput(t *testing.T) {
	output := strings.Repeat("0123456789☃ ", 200_000)
	quoted, _ := json.Marshal(output)
	line := `{"type":"user","uuid":"u","sessionId":"s","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":` + string(quoted) + `}]},"toolUseResult":{"stdout":"short"}}`
	items := read(t, line)
	compare(t, items, []string{`action_executed output_digest=` + ingest.TextDigest(output) + ` tool_use_result=map[stdout:short]`})
	e := items[0].Event
	b, err := e.AppendPayload(nil)
	if err != nil || len(b) > 1_000_000 || len(b) < 990_000 {
		t.Errorf("a payload of %d bytes, %v", len(b), err)
	}
	cut := e.Details["cut"].([]any)[0].(map[string]any)
	kept := e.Details["output"].(string)
	if !strings.HasPrefix(output, kept) || cut["pointer"] != "/details/output" || cut["bytes"] != int64(len(output)) ||
		cut["kept_bytes"] != len(kept) || cut["digest"] != ingest.TextDigest(output) {
		t.Errorf("cut %v, kept %d bytes", cut, len(kept))
	}
	if !strings.Contains(strings.Join(e.Defects, ";"), "details: 1 strings were cut") {
		t.Errorf("defects %q", e.Defects)
	}
	// Whoever allows more loses nothing.
	all, err := ingesttest.Read(Read).All(strings.NewReader(line), ingest.Source{MaxPayload: 4 << 20})
	if err != nil || len(all) != 1 || all[0].Event.Details["output"] != output {
		t.Errorf("%d items, %v", len(all), err)
	}
}

// Memory does not grow with the length of a transcript.
func TestMemory(t *testing.T) {
	const lines = 3 * ingest.RecentKeys
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	n, before := 0, int64(0)
	for item, err := range Read(&endless{lines: lines}, ingest.Source{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; item.Event.Type != event.ActionRequested || item.Line != n {
			t.Fatalf("item %d: line %d, %s", n, item.Line, item.Event.Type)
		}
		switch n {
		case 2 * ingest.RecentKeys:
			before = heap()
		case lines:
			if after := heap(); after > before+8<<20 {
				t.Errorf("%d bytes after %d lines, %d after %d", before, 2*ingest.RecentKeys, after, lines)
			}
		}
	}
	if n != lines {
		t.Errorf("%d items of %d lines", n, lines)
	}
}

// endless writes lines that each ask for another tool.
type endless struct {
	lines, n int
	rest     []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.n == e.lines {
			return 0, io.EOF
		}
		e.n++
		e.rest = fmt.Appendf(e.rest[:0], `{"type":"assistant","uuid":"u%d","sessionId":"s","message":{"content":[{"type":"tool_use","id":"toolu_%d","name":"Bash"}]}}`+"\n", e.n, e.n)
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func FuzzRead(f *testing.F) {
	for _, data := range transcripts(f) {
		for n, s := 0, lineScanner(data); s.Scan() && n < 400; n++ {
			if n%40 == 0 && len(s.Bytes()) < 4000 {
				f.Add(bytes.Clone(s.Bytes()))
			}
		}
	}
	f.Add([]byte(`{"type":"user","uuid":"u","sessionId":"s","permissionMode":"m","message":{"content":[{"type":"tool_result","content":[1]},{"type":"text"},null]},"toolUseResult":{"durationSeconds":1e308}}`))
	f.Add([]byte(`{"type":"assistant","message":{"content":"x","stop_reason":"end_turn"},"isApiErrorMessage":true}` + "\n\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := ingest.Source{MaxRecord: 1 << 20, MaxPayload: 20_000}
		items, err := ingesttest.Read(Read).All(bytes.NewReader(data), src)
		if err != nil {
			return
		}
		if err := ingesttest.Check(items, source); err != nil {
			t.Fatal(err)
		}
		again, err := ingesttest.Read(Read).All(ingesttest.OneByte(bytes.NewReader(data)), src)
		if err == nil {
			err = ingesttest.Same(items, again)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	data := transcripts(b)["8463c716-a2ea-4c14-9efa-87158ebd9f20.jsonl.gz"]
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Read(bytes.NewReader(data), ingest.Source{}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
