package mcp_test

import (
	"strings"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest/mcp"
	"github.com/custodylog/custody/ingest/sighting"
)

// What a call that goes on as a task comes to is what its task comes to.
func TestTasks(t *testing.T) {
	const (
		// Revision 2025-11-25: the client asks for a task.
		wanted = `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"build","arguments":{"x":1},"task":{"ttl":60000}}}
			< {"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t1","status":"working"}}}
`
		begun  = "action_requested tool_name=build\n"
		result = `> {"jsonrpc":"2.0","id":2,"method":"tasks/result","params":{"taskId":"t1"}}
`
		get = `> {"jsonrpc":"2.0","id":3,"method":"tasks/get","params":{"taskId":"t1"}}
`
		cancel = `> {"jsonrpc":"2.0","id":4,"method":"tasks/cancel","params":{"taskId":"t1"}}
`
		// The extension of revision 2026-07-28: the server makes one.
		made = `> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"build","arguments":{"x":1}}}
			< {"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"t1","status":"working"}}
`
		question = `< {"jsonrpc":"2.0","id":3,"result":{"resultType":"complete","taskId":"t1","status":"input_required","inputRequests":{"who":{"method":"elicitation/create","params":{"message":"who?"}}}}}
`
	)
	for _, tt := range []struct{ name, script, want string }{
		{"a result", wanted + get + `< {"jsonrpc":"2.0","id":3,"result":{"taskId":"t1","status":"completed"}}` + "\n" +
			result + `< {"jsonrpc":"2.0","id":2,"result":{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t1"}}}}` + "\n" +
			result + `< {"jsonrpc":"2.0","id":2,"result":{"content":[]}}` + "\n!",
			begun + "action_executed tool_name=build success"},
		{"an error of the tool", wanted + result + `< {"jsonrpc":"2.0","id":2,"result":{"isError":true,"content":[]}}`,
			begun + "action_failed tool_name=build layer=tool error_type=tool_error failure"},
		{"an error of the protocol", wanted + result + `< {"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"no"}}`,
			begun + "action_failed tool_name=build layer=protocol error_type=json_rpc -32000 failure"},
		{"an error that the status says is the task's", wanted + `< {"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t1","status":"failed"}}` + "\n" +
			result + `< {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"no such tool"}}`,
			begun + "action_failed tool_name=build layer=protocol error_type=json_rpc -32602 failure"},
		{"a task that is gone", wanted + result + `< {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"Task has expired"}}` + "\n!",
			begun + "action_failed tool_name=build layer=transport unknown"},
		{"one that is asked for, and gone", made + get + `< {"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"Task has expired"}}` + "\n!",
			begun + "action_failed tool_name=build layer=transport unknown"},
		{"one that fails, and of which nobody asks more", wanted + `> {"jsonrpc":"2.0","id":3,"method":"tasks/list"}
			< {"jsonrpc":"2.0","id":3,"result":{"tasks":[{"taskId":"t0","status":"working"},{"taskId":"t1","status":"failed","statusMessage":"full"}]}}` + "\n!",
			begun + "action_failed tool_name=build task_status=failed failure"},
		{"one that succeeds, and of which nobody asks more", wanted + get + `< {"jsonrpc":"2.0","id":3,"result":{"taskId":"t1","status":"completed"}}` + "\n!",
			begun + "action_executed tool_name=build task_status=completed success"},
		{"one that does not end", wanted + get + `< {"jsonrpc":"2.0","id":3,"result":{"taskId":"t1","status":"working"}}` + "\n!",
			begun + "action_failed tool_name=build layer=transport unknown"},
		{"one that the client cancels", wanted + cancel + `< {"jsonrpc":"2.0","id":4,"result":{"taskId":"t1","status":"cancelled"}}` + "\n!",
			begun + "action_cancelled tool_name=build cancelled_by=client cancelled"},
		{"one that the client cancels too late", wanted + cancel + `< {"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"already completed"}}` + "\n" +
			result + `< {"jsonrpc":"2.0","id":2,"result":{}}` + "\n!",
			begun + "action_executed tool_name=build success"},
		{"one that the server cancels", wanted + get + `< {"jsonrpc":"2.0","id":3,"result":{"taskId":"t1","status":"cancelled","statusMessage":"shutdown"}}`,
			begun + "action_cancelled tool_name=build cancelled_by=server reason=shutdown cancelled"},
		{"notifications/cancelled does not cancel one", wanted + `> {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}` + "\n" +
			result + `< {"jsonrpc":"2.0","id":2,"result":{}}`,
			begun + "action_executed tool_name=build success"},
		{"a result that the client does not wait for", wanted + result + `> {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}
			< {"jsonrpc":"2.0","id":2,"result":{}}`,
			begun + "action_executed tool_name=build success"},
		{"a member task of a result, where nobody asked for a task", call + `< {"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t1"}}}`,
			"action_requested tool_name=read\naction_executed tool_name=read success"},
		{"two calls that are one task", wanted + strings.ReplaceAll(wanted, `"id":1`, `"id":9`) + result + `< {"jsonrpc":"2.0","id":2,"result":{}}`,
			begun + begun + "action_failed tool_name=build layer=transport unknown\naction_executed tool_name=build success"},
		{"a question of the task", wanted + `< {"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"who?","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t1"}}}}
			> {"jsonrpc":"2.0","id":7,"result":{"action":"accept"}}`,
			begun + "user_input_requested tool_name=build\nuser_input_given tool_name=build action=accept"},
		{"an answer that is a task of the client", `< {"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"who?","task":{}}}
			> {"jsonrpc":"2.0","id":7,"result":{"task":{"taskId":"c1","status":"working"}}}
			< {"jsonrpc":"2.0","id":8,"method":"tasks/result","params":{"taskId":"c1"}}
			> {"jsonrpc":"2.0","id":8,"result":{"action":"decline"}}`,
			"user_input_requested\nuser_input_given action=decline"},

		{"the extension", made + get + `< {"jsonrpc":"2.0","id":3,"result":{"resultType":"complete","taskId":"t1","status":"working"}}` + "\n" +
			get + `< {"jsonrpc":"2.0","id":3,"result":{"resultType":"complete","taskId":"t1","status":"completed","result":{"content":[]}}}` + "\n" +
			get + `< {"jsonrpc":"2.0","id":3,"result":{"resultType":"complete","taskId":"t1","status":"completed","result":{"content":[]}}}` + "\n!",
			begun + "action_executed tool_name=build success"},
		{"the extension, with an error of the tool", made + `< {"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"t1","status":"completed","result":{"isError":true}}}`,
			begun + "action_failed tool_name=build layer=tool error_type=tool_error failure"},
		{"the extension, with an error of the protocol", made + get + `< {"jsonrpc":"2.0","id":3,"result":{"taskId":"t1","status":"failed","error":{"code":-32603,"message":"no"}}}`,
			begun + "action_failed tool_name=build layer=protocol error_type=json_rpc -32603 failure"},
		{"the extension, with a question that is asked for twice", made + get + question + get + question +
			`> {"jsonrpc":"2.0","id":5,"method":"tasks/update","params":{"taskId":"t1","inputResponses":{"who":{"action":"accept"}}}}
			< {"jsonrpc":"2.0","id":5,"result":{"resultType":"complete"}}` + "\n" + get + question,
			begun + "user_input_requested tool_name=build\nuser_input_given tool_name=build action=accept"},
		{"the extension, asked for twice at a time", made + get + strings.Replace(get, `"id":3`, `"id":5`, 1) + `< {"jsonrpc":"2.0","id":3,"result":{"taskId":"t1","status":"completed","result":{}}}
			< {"jsonrpc":"2.0","id":5,"result":{"taskId":"t1","status":"completed","result":{}}}`,
			begun + "action_executed tool_name=build success"},
		{"the extension, answered twice", made + get + question + strings.Repeat(`> {"jsonrpc":"2.0","id":5,"method":"tasks/update","params":{"taskId":"t1","inputResponses":{"who":{"action":"accept"}}}}
			< {"jsonrpc":"2.0","id":5,"result":{"resultType":"complete"}}`+"\n", 2),
			begun + "user_input_requested tool_name=build\nuser_input_given tool_name=build action=accept"},
		{"the extension, cancelled, and completed in spite of it", made + cancel + `< {"jsonrpc":"2.0","id":4,"result":{"resultType":"complete"}}` + "\n" +
			get + `< {"jsonrpc":"2.0","id":3,"result":{"taskId":"t1","status":"completed","result":{}}}`,
			begun + "action_cancelled tool_name=build cancelled_by=client cancelled\naction_executed tool_name=build success"},
		{"the extension, without an id", strings.Replace(made, `"taskId":"t1"`, `"taskId":1`, 1),
			begun + "action_failed tool_name=build layer=transport unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := play(t, mcp.NewServer(mcp.Options{Now: clock(), Run: "r"}), tt.script)
			if got := short(all); got != strings.TrimSpace(tt.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			for _, s := range all[1:] {
				if e := s.Event; strings.HasPrefix(string(e.Type), "action_") && s.Call.Tool == "build" && e.Details["task_id"] == nil && e.Details["layer"] != "transport" && e.Type != event.ActionRequested {
					t.Errorf("%s does not name its task: %v", e.Type, e.Details)
				}
			}
		})
	}
}

// Tasks and calls that wait for the person go on when a connection ends, and from one
// connection to another, but not beyond the recorder.
func TestTaskOfExchanges(t *testing.T) {
	s := mcp.NewServer(mcp.Options{Now: clock(), Run: "r"})
	exchange := func(ask, answer string) []sighting.Sighting {
		c := s.Exchange()
		m := mcp.Parse(record(ask))
		all := append(c.FromClient(m), c.FromServer(mcp.Parse(record(answer)))...)
		return append(all, c.Lost(m, "it ended")...)
	}
	call := func(tool string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `"}}`
	}
	made := func(id string) string {
		return `{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","status":"working","taskId":"` + id + `"}}`
	}
	all := exchange(call("a"), made("t1"))
	all = append(all, exchange(call("b"), made("t2"))...)
	all = append(all, exchange(call("c"), `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s"}}`)...)
	all = append(all, exchange(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t1"}}`, `{"jsonrpc":"2.0","id":1,"result":{"taskId":"t1","status":"completed","result":{}}}`)...)
	all = append(all, s.Close()...)
	if got, want := short(all), "action_requested tool_name=a\naction_requested tool_name=b\naction_requested tool_name=c\naction_executed tool_name=a success\n"+
		"action_failed tool_name=b layer=transport unknown\naction_failed tool_name=c layer=transport unknown"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if all[3].Event.ActionID != all[0].Event.ActionID {
		t.Errorf("the result is of action %s, and the call of %s", all[3].Event.ActionID, all[0].Event.ActionID)
	}
}
