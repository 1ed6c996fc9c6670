package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// read reads a resource and returns its content, which has a type, or else fails.
func (r *rig) read(uri string) *mcp.ResourceContents {
	r.Helper()
	res, err := r.mcp.ReadResource(r.Context(), &mcp.ReadResourceParams{URI: uri})
	if err != nil {
		r.Fatalf("%s: %v", uri, err)
	}
	if len(res.Contents) != 1 || res.Contents[0].URI != uri || len(res.Contents[0].Text) > MaxAnswer {
		r.Fatalf("%s: %+v", uri, res)
	}
	if res.CacheScope != "private" || res.TTLMs != 0 {
		r.Errorf("%s may be kept for %d ms, %s", uri, res.TTLMs, res.CacheScope)
	}
	return res.Contents[0]
}

// refused returns the error of reading a resource.
func (r *rig) refused(uri string) *jsonrpc.Error {
	r.Helper()
	res, err := r.mcp.ReadResource(r.Context(), &mcp.ReadResourceParams{URI: uri})
	var e *jsonrpc.Error
	if !errors.As(err, &e) {
		r.Fatalf("%s: %v, %+v", uri, err, res)
	}
	return e
}

func TestResources(t *testing.T) {
	const id = "a b/ü:(%41)?#"
	r := newRig(t, append(story(), event.Event{ID: id, Type: event.ActionRequested, ActionID: id})...)
	var listed []string
	for res, err := range r.mcp.Resources(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, res.URI+" "+res.MIMEType)
		if got := r.read(res.URI); got.MIMEType != res.MIMEType || res.Description == "" {
			t.Errorf("%s: %s", res.URI, got.MIMEType)
		}
	}
	if want := []string{"custody://trail application/json", "custody://trail/checkpoint text/plain"}; !reflect.DeepEqual(listed, want) {
		t.Errorf("the resources are %q", listed)
	}
	templates := map[string]string{}
	for tmpl, err := range r.mcp.ResourceTemplates(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		templates[tmpl.URITemplate] = tmpl.MIMEType
	}
	if want := map[string]string{"custody://trail/entries/{index}": "application/json", "custody://trail/events/{id}": "application/json",
		"custody://trail/actions/{id}": "application/json", "custody://trail/proofs/{index}": "text/plain"}; !reflect.DeepEqual(templates, want) {
		t.Errorf("the templates are %v", templates)
	}

	var s statsAnswer
	if text := r.read("custody://trail").Text; json.Unmarshal([]byte(text), &s) != nil || s.Size != r.trail.Size() || s.FirstKey != r.trail.FirstKey() {
		t.Errorf("the trail: %s", text)
	}
	checkpoint := r.read("custody://trail/checkpoint").Text
	if c, err := evidence.PeekCheckpoint([]byte(checkpoint)); err != nil || c.Size != r.trail.Size() {
		t.Errorf("the checkpoint: %v: %s", err, checkpoint)
	}

	byID := r.read("custody://trail/events/e4").Text
	var one showAnswer
	if json.Unmarshal([]byte(byID), &one) != nil || one.Type != "action_denied" || one.Event == nil {
		t.Errorf("e4: %s", byID)
	}
	if text := r.read(fmt.Sprint("custody://trail/entries/", one.Index)).Text; text != byID {
		t.Errorf("by its index it is %s", text)
	}
	if shown, _ := r.call("show", args{"id": "e4"}); shown != byID {
		t.Errorf("the tool shows %s", shown)
	}

	// What a template is expanded with is encoded (RFC 6570 section 3.2.2).
	const encoded = "a%20b%2F%C3%BC%3A%28%2541%29%3F%23"
	if text := r.read("custody://trail/events/" + encoded).Text; !strings.Contains(text, id) {
		t.Errorf("%s: %s", id, text)
	}
	var life timelineAnswer
	if text := r.read("custody://trail/actions/" + encoded).Text; json.Unmarshal([]byte(text), &life) != nil || life.Total != 1 || life.Items[0].Action.ActionID != id {
		t.Errorf("%s: %s", id, text)
	}
	life = timelineAnswer{}
	if text := r.read("custody://trail/actions/x2").Text; json.Unmarshal([]byte(text), &life) != nil || life.Total != 1 || life.Items[0].Action.Status != "denied" {
		t.Errorf("x2: %s", text)
	}
}

// A proof holds without the trail, and says nothing of what the event says.
func TestProofResource(t *testing.T) {
	r := newRig(t, story()...)
	text := r.read("custody://trail/proofs/4").Text
	p, err := evidence.ParseProof([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	key, err := evidence.ParseVerifier(r.trail.FirstKey())
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := evidence.OpenCheckpoint(p.Checkpoint, key)
	if err != nil {
		t.Fatal(err)
	}
	d, err := evidence.ParseDisclosed(p.Extra)
	if err != nil {
		t.Fatal(err)
	}
	if err := evidence.CheckInclusion(p.Hashes, 4, c.Size, evidence.LeafHash(d.Entry), c.Root); err != nil {
		t.Error(err)
	}
	if d.Payload != nil || d.Salt != nil {
		t.Errorf("it discloses %s", d.Payload)
	}
}

func TestNoResource(t *testing.T) {
	r := newRig(t, story()...)
	if _, err := r.trail.Erase(t.Context(), custody.Erasure{Query: custody.Query{ActionID: "x2"}, By: "operator@example.com", Ground: "asked for"}); err != nil {
		t.Fatal(err)
	}
	if text := r.read("custody://trail/entries/4").Text; !strings.Contains(text, "the payload was erased") || strings.Contains(text, "not yours") {
		t.Errorf("an entry whose payload was erased: %s", text)
	}
	for _, c := range []struct {
		uri  string
		want string
	}{
		{"custody://trail/entries/99", "there is no such entry; the trail has 6"},
		{"custody://trail/entries/x", `"x" is not the index of an entry`},
		{"custody://trail/entries/-1", "is not the index"},
		{"custody://trail/entries/18446744073709551616", "is not the index"},
		{"custody://trail/entries/", "is not the index"},
		{"custody://trail/events/nothing", "there is no such entry"},
		{"custody://trail/actions/nothing", "there is no such action"},
		{"custody://trail/actions/x2", "there is no such action"},
		{"custody://trail/proofs/99", "99"},
		{"custody://trail/proofs/x", "is not the index"},
		{"custody://trail/keys", "not found"},
		{"custody://trail/events/%2", "not found"},
		{"custody://trail/entries/1/2", "not found"},
		{"file:///etc/passwd", "not found"},
	} {
		if e := r.refused(c.uri); e.Code != jsonrpc.CodeInvalidParams || !strings.Contains(string(e.Data), `"uri":`) || !strings.Contains(e.Message, c.want) || len(e.Message) > 400 {
			t.Errorf("%s: %d %s %s; want %q", c.uri, e.Code, e.Message, e.Data, c.want)
		}
	}
}

// wordy is a trail, as a server gives it, that is longer than a model should read.
type wordy struct{ Trail }

func (wordy) Checkpoint(context.Context) ([]byte, error) { return make([]byte, MaxAnswer+1), nil }

func (wordy) EntryByID(context.Context, string) (custody.Entry, error) {
	return custody.Entry{}, fmt.Errorf("%w: %s", custody.ErrAltered, strings.Repeat("blah ", 1<<20))
}

// Neither an error nor what cannot be cut is longer than an answer.
func TestLongAnswersOfServer(t *testing.T) {
	r := newRig(t, story()...)
	r.serve(Options{Trail: wordy{r.trail}})
	if e := r.refused("custody://trail/checkpoint"); e.Code != jsonrpc.CodeInternalError || !strings.Contains(e.Message, "has 32769 bytes, and 32768 is the most") {
		t.Errorf("%v", e)
	}
	const hint = "…; the tool verify says what is damaged"
	if e := r.refused("custody://trail/events/e1"); len(e.Message) > maxError+len(hint) || !strings.HasSuffix(e.Message, hint) {
		t.Errorf("an error of %d bytes", len(e.Message))
	}
	if text, failed := r.call("show", args{"id": "e1"}); !failed || len(text) > maxError+len(hint) || !strings.HasSuffix(text, hint) {
		t.Errorf("an error of %d bytes", len(text))
	}
}
