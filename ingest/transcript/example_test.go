package transcript_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/transcript"
)

func ExampleRead() {
	const session = `{"type":"assistant","uuid":"u1","sessionId":"s1","timestamp":"2026-02-11T20:36:51Z","message":{"content":[{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"git push"}}]}}
{"type":"user","uuid":"u2","sessionId":"s1","timestamp":"2026-02-11T20:36:54Z","message":{"content":[{"type":"tool_result","tool_use_id":"toolu_1","is_error":true,"content":"Exit code 128"}]}}
not a line of a transcript
`
	for item, err := range transcript.Read(strings.NewReader(session), ingest.Source{Name: "session.jsonl"}) {
		if err != nil {
			log.Fatal(err)
		}
		e := item.Event
		fmt.Println(item.Line, e.Type, e.ActionID, e.Details["tool_name"], item.Mapped)
	}
	// Output:
	// 1 action_requested toolu_1 Bash true
	// 2 action_failed toolu_1 Bash true
	// 3 transcript_line  <nil> false
}
