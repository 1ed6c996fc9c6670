// Package mcp reads what a client and a server of the Model Context Protocol say to each
// other, and makes sightings of the calls in it (package sighting). It knows the
// revisions from 2024-11-05 to 2026-07-28.
//
// It sees copies of the messages and writes none: whoever forwards them forwards the
// bytes that came. The one thing it says itself is the answer to a call that is refused
// ([Message.Refuse]).
//
// What it makes of messages:
//
//   - tools/call and resources/read are actions: requested, and then executed, failed or
//     cancelled. What failed says at which layer: no answer (transport), an error of
//     JSON-RPC (protocol), or a result that says isError (tool). A call that goes on as a
//     task, of revision 2025-11-25 or of the extension io.modelcontextprotocol/tasks, ends
//     as the task does. A result that comes after such an end is told as well.
//   - A server's question to the person, whether elicitation/create or a result that says
//     input_required, is user_input_requested; its answer user_input_given.
//   - initialize and server/discover are tool_server_connected.
//   - A list of tools that differs from the one before is tool_surface_changed.
//   - What cannot be read is an event of the type mcp_unreadable, with its beginning and
//     its digest.
//
// All other messages make none.
package mcp
