// Package transcript imports the session transcripts that Claude Code writes:
// ~/.claude/projects/<project>/<session>.jsonl, and one file for each sub-agent
// under <session>/subagents.
//
// # First call
//
//	for item, err := range transcript.Read(r, ingest.Source{Name: path}) { … }
//
// # What becomes of a line
//
//	tool_use block                 action_requested
//	tool_result block              action_executed, action_failed, action_denied or action_cancelled
//	prompt of a person or program  turn_started
//	end of the answer              turn_ended
//	text, thinking of the model    assistant_message, assistant_thinking
//	file-history-snapshot          checkpoint_created
//	first line of a session        also session_started; of a sub-agent's file, subagent_started
//	another permission mode        also permission_mode_changed
//	anything else                  a type that is not registered: see kinds.go
//
// The action id is the id of the tool_use block. The detail line of the first
// event of a line is the line itself, without the members that stand elsewhere
// in its events: input, output, tool_use_result, usage. So nothing of the line
// is lost. The lines of one answer of the model each repeat its usage: whoever
// adds tokens up counts each line.message.id once.
//
// A denial is known by the words in which Claude Code tells the model of it,
// which change between versions; where they are new the action counts as
// failed.
//
// # Ids
//
// An event is named after its line's sessionId and uuid; a line without them
// after its bytes and the lines before it. A transcript that was altered after
// it was imported therefore gives events of the same ids and another content,
// which a trail refuses as a conflict.
//
// # What is not promised
//
// The format is internal to Claude Code, and anyone who may write the file can
// change it: a transcript is evidence of lower trust than what hooks report.
package transcript
