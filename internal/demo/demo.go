// Package demo holds the agent session that ships with the program.
package demo

import _ "embed"

// SessionID is the id of the session.
const SessionID = "258c7280-ae70-4798-800f-63464d01a85d"

//go:embed session.jsonl.gz
var session []byte

// Session returns a real session transcript of Claude Code, compressed with
// gzip: 186 tool calls over an hour, of which 6 failed and one was rejected by
// the person. README.md says where it comes from. The bytes must not be changed.
func Session() []byte { return session }
