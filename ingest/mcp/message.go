package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// Message is what one side sent at once: a message of JSON-RPC, or a batch of them, as
// revisions before 2025-06-18 had.
type Message struct {
	record ingest.Record
	batch  bool
	parts  []part
	err    error // why it cannot be read; then there are no parts
}

// part is one message of JSON-RPC.
type part struct {
	id      string // canonical JSON of the id; empty: it has none
	method  string // empty: it is a response
	params  map[string]any
	result  map[string]any // of a response: nil where it is an error
	failure map[string]any // of a response: nil where it is none
	defects []string
	size    int64 // of the message in bytes

	request *request // of a client: what [Conn.FromClient] made of it; nil: nothing
}

// Parse reads a message. The text of the record has to stay as it is for as long as the
// message is used. What cannot be read is a message too: [Message.Err] says why.
func Parse(rec ingest.Record) *Message {
	m := &Message{record: rec}
	if !rec.Whole() {
		m.err = fmt.Errorf("too long to be read: %d bytes or more", rec.Size)
		return m
	}
	text := bytes.TrimLeft(rec.Text, " \t\r\n")
	if m.batch = bytes.HasPrefix(text, []byte("[")); !m.batch {
		object, defects, err := ingest.ParseObject(text)
		m.add(object, defects, err)
		return m
	}
	object, defects, err := ingest.ParseObject(slices.Concat([]byte(`{"batch":`), text, []byte("}")))
	if err == nil && len(object) != 1 {
		err = errors.New("malformed JSON: more follows after the end of the array")
	}
	all, _ := object["batch"].([]any)
	switch {
	case err != nil:
	case len(all) == 0:
		err = errors.New("a batch of nothing")
	case len(all) > maxParts:
		err = fmt.Errorf("a batch of %d messages; up to %d are read", len(all), maxParts)
	}
	if err != nil {
		m.add(nil, nil, err)
		return m
	}
	for _, v := range all {
		one, ok := v.(map[string]any)
		if !ok {
			err = errors.New("a batch that holds something else than messages")
		}
		m.add(one, defects, err)
	}
	return m
}

// add adds a message of the batch. One that cannot be read makes all of it unreadable.
func (m *Message) add(object map[string]any, defects []string, err error) {
	p := part{defects: defects, size: m.record.Size}
	if err == nil {
		err = p.read(object)
	}
	if err == nil && m.err == nil {
		m.parts = append(m.parts, p)
		return
	}
	if m.parts = nil; m.err == nil {
		m.err = err
	}
}

// read reads one message. A peer that is less strict about the names of members might
// take another one for the method, so names that differ in case only are errors.
func (p *part) read(object map[string]any) error {
	if err := exact(object, "id", "method", "params", "result", "error"); err != nil {
		return err
	}
	if id, ok := object["id"]; ok && id != nil {
		switch id.(type) {
		case string, json.Number:
		default:
			return errors.New("an id that is neither a string nor a number")
		}
		text, err := event.AppendJSON(nil, id)
		if err != nil {
			return err
		}
		p.id = string(text)
	}
	method, isRequest := object["method"]
	_, isResult := object["result"]
	_, isError := object["error"]
	switch {
	case !isRequest && !isResult && !isError:
		return errForeign
	case isRequest && (isResult || isError), isResult && isError:
		return errors.New("a message of JSON-RPC has one of method, result and error, and this has several")
	case isRequest:
		p.method, _ = method.(string)
		p.params = ingest.Object(object, "params")
		return p.readRequest()
	}
	p.failure = ingest.Object(object, "error")
	if p.result = ingest.Object(object, "result"); isResult && p.result == nil {
		p.result = map[string]any{}
	} else if isError && p.failure == nil {
		p.failure = map[string]any{}
	}
	return nil
}

// errForeign says that an object is another one than those of JSON-RPC.
var errForeign = errors.New("no message of JSON-RPC: it has neither method nor result nor error")

// readRequest checks a request, so that what is read here is what its receiver reads.
func (p *part) readRequest() error {
	switch {
	case p.method == "":
		return errors.New("a method that is no name")
	case p.acts() && p.id == "":
		return errors.New("a call without an id, so that nothing can say how it ended")
	case p.method == methodCall && ingest.Text(p.params, "name") == "":
		return errors.New("a call that does not name its tool")
	case p.method == methodRead && ingest.Text(p.params, "uri") == "":
		return errors.New("a read that does not name its resource")
	}
	if !followed[p.method] {
		return nil
	}
	return exact(p.params, "name", "arguments", "uri", "_meta", "cursor", "requestId", "requestState", "inputResponses", "task", "taskId")
}

// exact refuses names that are some of those but for their case.
func exact(object map[string]any, names ...string) error {
	for have := range object {
		for _, name := range names {
			if have != name && strings.EqualFold(have, name) {
				return fmt.Errorf("a member %q, which may pass for %q", have, name)
			}
		}
	}
	return nil
}

// Err says why the message cannot be read, or is nil.
func (m *Message) Err() error { return m.err }

// Foreign reports whether the message is one object of JSON that is none of JSON-RPC, so
// that no server takes it for a call. A batch never is: others in it may be calls.
func (m *Message) Foreign() bool { return !m.batch && errors.Is(m.err, errForeign) }

// Acts reports whether a message of a client has a call in it, or may have, since it
// cannot be read. Only such messages are held up or refused.
func (m *Message) Acts() bool {
	return m.err != nil || slices.ContainsFunc(m.parts, func(p part) bool { return p.acts() })
}

func (p *part) acts() bool { return p.method == methodCall || p.method == methodRead }

// CodeRefused is the code of the error by which a call is refused. It is one that
// JSON-RPC leaves to implementations.
const CodeRefused = -32010

// Refuse returns the answer to a message of a client that is not forwarded: an error for
// each request in it, and nothing where it has none. It has no line feed.
func (m *Message) Refuse(reason string) []byte {
	if m.batch {
		var all []map[string]json.RawMessage
		if json.Unmarshal(m.record.Text, &all) == nil {
			var answers []json.RawMessage
			for _, one := range all {
				if a := refuse(one, reason); a != nil {
					answers = append(answers, a)
				}
			}
			if len(answers) == 0 {
				return nil
			}
			return encode(answers)
		}
	}
	var one map[string]json.RawMessage
	if json.Unmarshal(m.record.Text, &one) != nil {
		return refusal(json.RawMessage("null"), reason)
	}
	return refuse(one, reason)
}

// refuse answers one message, with its id as it stands there. Nobody waits for an answer
// to one that has no id or, by whichever name, no method: the id of a response is one of
// the server's.
func refuse(message map[string]json.RawMessage, reason string) json.RawMessage {
	id, ok := message["id"]
	for name := range message {
		if ok && strings.EqualFold(name, "method") {
			return refusal(id, reason)
		}
	}
	return nil
}

func refusal(id json.RawMessage, reason string) json.RawMessage {
	return encode(map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": CodeRefused, "message": reason}})
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("custody: %v", err)) // cannot be: what it holds was decoded
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
