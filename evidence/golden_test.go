package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew: never those of a version that was released")

// goldenPayloads are the events of the golden trail. One of them is erased.
var goldenPayloads = []struct {
	typ, payload string
	erased       bool
}{
	{"log_opened", `{"details":{"key":"example.org/trail+5d5f694d"},"event_type":"log_opened","id":"0193591c-0000-7000-8000-000000000000","timestamp":"2026-11-23T22:10:00.000000Z"}`, false},
	{"action_requested", `{"action_id":"a-1","agent_id":"coder","details":{"command":"rm -rf build","tool_name":"Bash"},"event_type":"action_requested","id":"0193591c-0001-7000-8000-000000000000","session_id":"s-1","timestamp":"2026-11-23T22:10:01.000000Z"}`, false},
	{"action_denied", `{"action_id":"a-1","agent_id":"coder","decision":"deny","details":{"reasons":["destructive"],"tool_name":"Bash"},"event_type":"action_denied","id":"0193591c-0002-7000-8000-000000000000","session_id":"s-1","timestamp":"2026-11-23T22:10:01.000250Z"}`, false},
	{"message_received", `{"agent_id":"coder","details":{"text":"a person's words"},"event_type":"message_received","id":"0193591c-0003-7000-8000-000000000000","session_id":"s-1","timestamp":"2026-11-23T22:10:02.000000Z"}`, true},
	{"vendor.x-note", `{"details":{"text":"Grüße, €, 😀, \"quoted\", tab\t"},"event_type":"vendor.x-note","id":"0193591c-0004-7000-8000-000000000000","timestamp":"2026-11-23T22:10:02.000001Z"}`, false},
}

// exportLine is one line of an export.
type exportLine struct {
	Entry   string  `json:"entry"`
	Salt    []byte  `json:"salt,omitempty"`
	Payload *string `json:"payload,omitempty"`
}

// TestGolden: what version 1 wrote reads the same for ever, and is still written
// the same while version 1 is what is written.
func TestGolden(t *testing.T) {
	var (
		export bytes.Buffer
		tree   Tree
		prev   Hash
	)
	lines := json.NewEncoder(&export)
	lines.SetEscapeHTML(false)
	for i, p := range goldenPayloads {
		salt := sha256.Sum256(fmt.Appendf(nil, "golden salt %d", i))
		commitment, err := Commit(salt[:SaltSize], []byte(p.payload))
		if err != nil {
			t.Fatal(err)
		}
		entry := AppendEntry(nil, &Entry{
			Index: uint64(i), Payload: commitment, Prev: prev, Type: p.typ,
			Time: time.Date(2026, 11, 23, 22, 10, i, 7*i*1000, time.UTC),
		})
		prev = LeafHash(entry)
		tree.Append(prev)
		line := exportLine{Entry: string(entry)}
		if !p.erased {
			line.Salt, line.Payload = salt[:SaltSize], &p.payload
		}
		if err := lines.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	first, second := testSigner(t, testOrigin, "golden key 1"), testSigner(t, testOrigin, "golden key 2")
	checkpoint, err := SignCheckpoint(&Checkpoint{Origin: testOrigin, Size: tree.Size(), Root: tree.Root()}, first, second)
	if err != nil {
		t.Fatal(err)
	}
	rotation, err := SignRotation(first, second)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"export.ndjson": export.Bytes(),
		"checkpoint":    checkpoint,
		"rotation":      rotation,
		"vkeys":         []byte(first.VerifierKey() + "\n" + second.VerifierKey() + "\n"),
	} {
		golden(t, name, content)
	}
}

// golden compares content with a golden file.
func golden(t *testing.T, name string, content []byte) {
	t.Helper()
	name = filepath.Join("testdata", "golden", "v1", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content, want) {
		t.Errorf("%s:\n got %s\nwant %s", name, content, want)
	}
}

// TestGoldenReads reads the golden files as an auditor does, with this package.
func TestGoldenReads(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "golden", "v1", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	vkeys := bytes.Fields(read("vkeys"))
	first, err := ParseVerifier(string(vkeys[0]))
	if err != nil {
		t.Fatal(err)
	}
	next, second, err := OpenRotation(read("rotation"), first)
	if err != nil || next != string(vkeys[1]) {
		t.Fatalf("rotation to %s, %v", next, err)
	}
	c, by, err := OpenCheckpoint(read("checkpoint"), first, second)
	if err != nil || len(by) != 2 {
		t.Fatalf("checkpoint by %x, %v", by, err)
	}
	chain := NewChain(0, nil)
	var tree Tree
	held := 0
	for line := range bytes.Lines(read("export.ndjson")) {
		var l exportLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		got := chain.Next([]byte(l.Entry))
		tree.Append(got.Hash)
		if l.Payload == nil {
			continue
		}
		held++
		if commitment, err := Commit(l.Salt, []byte(*l.Payload)); err != nil || commitment != got.Payload {
			t.Errorf("entry %d: its payload has the commitment %v, %v", got.Index, commitment, err)
		}
	}
	if f := chain.End(); len(f) > 0 {
		t.Errorf("found %v", f)
	}
	if tree.Size() != c.Size || tree.Root() != c.Root || held != len(goldenPayloads)-1 {
		t.Errorf("%d entries with root %v, %d payloads; the checkpoint says %d and %v", tree.Size(), tree.Root(), held, c.Size, c.Root)
	}
}
