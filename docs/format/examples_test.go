// Package format holds the specification of the format, and the test that keeps
// its examples true.
package format

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/index"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
)

var update = flag.Bool("update", false, "write the examples in the pages anew")

// example is a marker and the fenced block behind it.
var example = regexp.MustCompile("<!-- example: ([a-z-]+)( \\(verified\\))? -->\n```\n((?s:.*?))```\n")

func TestExamples(t *testing.T) {
	want := examples(t)
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if n := strings.Count(text, "<!-- example:"); n != len(example.FindAllString(text, -1)) {
			t.Errorf("%s: of %d examples, some have no block behind them", page, n)
		}
		changed := example.ReplaceAllStringFunc(text, func(block string) string {
			m := example.FindStringSubmatch(block)
			if m[2] != "" {
				verify(t, page, m[1], m[3])
				return block
			}
			content, ok := want[m[1]]
			if !ok {
				t.Errorf("%s: there is no example %q, or it is used twice", page, m[1])
				return block
			}
			delete(want, m[1])
			if m[3] != content && !*update {
				t.Errorf("%s: example %q:\n%s\nshould be\n%s", page, m[1], m[3], content)
			}
			return strings.Replace(block, "```\n"+m[3]+"```\n", "```\n"+content+"```\n", 1)
		})
		if *update && changed != text {
			if err := os.WriteFile(page, []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name := range want {
		t.Errorf("example %q is on no page", name)
	}
}

// TestLinks: what a page refers to is there.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if strings.HasPrefix(m[1], "https://") {
				continue
			}
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s refers to %s: %v", page, m[1], err)
			}
		}
	}
}

// signer returns the signer of a key that everybody knows.
func signer(t *testing.T, seed string) (*evidence.Signer, []byte) {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	s, err := evidence.NewSigner("example.org/trail", ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return s, sum[:]
}

// examples computes what the pages show, by name.
func examples(t *testing.T) map[string]string {
	t.Helper()
	lines := func(v ...string) string { return strings.Join(v, "\n") + "\n" }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	payload, err := event.Canonicalize(nil, []byte(`{"event_type": "action_denied", "agent_id": "coder", "action_id": "a-1"}`))
	must(err)
	salt := []byte("0123456789abcdef")
	commitment, err := evidence.Commit(salt, payload)
	must(err)
	entry := evidence.AppendEntry(nil, &evidence.Entry{
		Payload: commitment, Time: time.Date(2026, 11, 23, 22, 10, 0, 123456000, time.UTC), Type: "action_denied",
	})
	leaf := evidence.LeafHash(entry)
	var tree evidence.Tree
	tree.Append(leaf)

	odd := `{"z":1e2, "a":-0.0, "\u20ac":"\u0007\/", "ab":[0.10, 1E400]}`
	if _, err := event.Canonicalize(nil, []byte(odd)); err == nil {
		t.Error("1E400 is not refused")
	}
	taken := strings.Replace(odd, "1E400", "1E21", 1)
	canonical, err := event.Canonicalize(nil, []byte(taken))
	must(err)

	first, seed := signer(t, "first key")
	second, _ := signer(t, "second key")
	checkpoint, err := evidence.SignCheckpoint(&evidence.Checkpoint{Origin: "example.org/trail", Size: 1, Root: tree.Root()}, first)
	must(err)
	rotation, err := evidence.SignRotation(first, second)
	must(err)
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)

	nonce := segment.Nonce([]byte("sixteen bytes of"))
	header := segment.AppendTailHeader(nil, segment.TailHeader{First: 65536, Nonce: nonce})
	batch := &storage.Batch{First: 65536, Items: []storage.Item{{Entry: []byte("<entry>"), Body: append(salt[:16:16], "{}"...)}, {Entry: []byte("<entry>")}}, Checkpoint: []byte("<checkpoint>")}
	frame, places, err := segment.AppendFrame(nil, nonce, batch, nil)
	must(err)

	var file bytes.Buffer
	w := segment.NewSealedWriter(&file, 65536)
	for range segment.Entries {
		w.Add(entry, nil, leaf, 0)
	}
	_, err = w.Finish([][]byte{checkpoint})
	must(err)
	sealed := file.Bytes()

	kept := segment.Pruned{First: 65536, Tile: make([]evidence.Hash, segment.Bundles),
		Records: []segment.PrunedRecord{{Position: segment.Entries - 1, Entry: []byte("<entry>"), Body: append(salt[:16:16], "{}"...)}}}
	kept.Hashes[segment.Bundles-1] = make([]evidence.Hash, segment.BundleEntries)
	pruned, err := segment.AppendPruned(nil, &kept)
	must(err)
	clear(pruned[len(pruned)-4:])

	memory := index.NewMemory()
	memory.Add(0, "action_denied", []storage.Key{storage.KeyOf(1, "a"), storage.KeyOf(2, "action_denied")})
	memory.Add(0, "action_denied", []storage.Key{storage.KeyOf(1, "b"), storage.KeyOf(2, "action_denied")})
	idx := memory.Seal(65536, leaf)

	trailer := sealed[len(sealed)-32:]
	clear(trailer[:8]) // where the footer is, and its checksum, depend on the compressor
	clear(trailer[12:16])
	return map[string]string{
		"entry": lines(string(entry)),
		"leaf":  lines("base64  "+leaf.String(), "hex     "+hex.EncodeToString(leaf[:])),
		"commitment": lines(
			"salt        "+base64.StdEncoding.EncodeToString(salt),
			"payload     "+string(payload),
			"commitment  "+commitment.String()),
		"canonical":  lines("sent      "+taken, "recorded  "+string(canonical)),
		"checkpoint": string(checkpoint),
		"key": lines(
			"name        example.org/trail",
			"public key  "+hex.EncodeToString(public),
			"key id      "+evidence.KeyID(first.KeyHash()),
			"vkey        "+first.VerifierKey()),
		"rotation":    string(rotation),
		"tail-header": hex.Dump(header),
		"frame":       hex.Dump(frame),
		"frame-parts": lines(
			fmt.Sprintf("body                %d bytes, CRC-32C %x", binary.BigEndian.Uint32(frame[4:]), frame[40:44]),
			fmt.Sprintf("first entry         offset %d, %d bytes", places[0].Offset, places[0].Entry),
			fmt.Sprintf("its salt, payload   offset %d, %d bytes", places[0].Offset+int64(places[0].Entry), places[0].Body),
			fmt.Sprintf("second entry        offset %d, %d bytes; no payload is held", places[1].Offset, places[1].Entry),
			fmt.Sprintf("checkpoint          offset %d, %d bytes", len(frame)-len(batch.Checkpoint), len(batch.Checkpoint))),
		"pruned-header":   hex.Dump(pruned[:48]),
		"pruned-end":      hex.Dump(pruned[len(pruned)-41:]),
		"segment-header":  hex.Dump(sealed[:32]),
		"segment-trailer": hex.Dump(trailer),
		"ranges":          lines(evidence.Ranges{{First: 0, Last: 41}, {First: 43, Last: 43}, {First: 50, Last: 99}}.String()),
		"keys": lines(
			fmt.Sprintf("id          %-40q %012x", "a", storage.KeyOf(1, "a")),
			fmt.Sprintf("id          %-40q %012x", "0193591c-0000-7000-8000-000000000000", storage.KeyOf(1, "0193591c-0000-7000-8000-000000000000")),
			fmt.Sprintf("event_type  %-40q %012x", "action_denied", storage.KeyOf(2, "action_denied"))),
		"index-header": hex.Dump(idx[:101]),
	}
}

// verify checks an example that is not computed, since a later release of a library
// might write other bytes for the same content.
func verify(t *testing.T, page, name, block string) {
	t.Helper()
	if name != "payload-block" {
		t.Errorf("%s: nothing checks the example %q", page, name)
		return
	}
	var b []byte
	for line := range strings.Lines(block) {
		digits := strings.ReplaceAll(line[10:58], " ", "")
		part, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %q: %v", page, line, err)
		}
		b = append(b, part...)
	}
	if hex.Dump(b) != block {
		t.Errorf("%s: %q is not the dump of its bytes:\n%s", page, name, hex.Dump(b))
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	content, err := d.DecodeAll(b[32:], nil)
	if err != nil || !bytes.Equal(content, []byte{3, 0, '{', '}'}) || string(b[:16]) != "0123456789abcdef" {
		t.Errorf("%s: %q has the content %x, %v", page, name, content, err)
	}
}

// TestNumbers holds the table of numbers in entry.md.
func TestNumbers(t *testing.T) {
	for number, want := range map[string]string{ // empty: refused
		"9007199254740994":                    "9007199254740994",
		"1e23":                                "1e+23",
		"9007199254740993":                    "",
		"18446744073709551615":                "",
		"0.1":                                 "0.1",
		"0.30000000000000004":                 "0.30000000000000004",
		"0.12345678901234567":                 "0.12345678901234566",
		"0.5000000000000000000000":            "0.5",
		"0.000030517578125000000000000000000": "0.000030517578125",
		"0.1000000000000000055511151231257827021181583404541015625": "0.1",
		"0.123456789012345678":   "",
		"5e-324":                 "5e-324",
		"3e-324":                 "",
		"1e-400":                 "",
		"1.7976931348623157e308": "1.7976931348623157e+308",
		"1e309":                  "",
		"-0":                     "0",
	} {
		got, err := event.Canonicalize(nil, []byte(number))
		if (err != nil) != (want == "") || string(got) != want {
			t.Errorf("%s: %s, %v, want %q", number, got, err, want)
		}
	}
}
