package evidence_test

// This file checks the golden trail by the text of docs/format alone, with
// nothing but the standard library: what anybody could write in an afternoon.
// It imports neither the package under test nor the libraries that it uses.

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// envelope is an entry, docs/format/entry.md.
type envelope struct {
	Index   uint64 `json:"index"`
	Payload []byte `json:"payload"`
	Prev    []byte `json:"prev"`
	Time    string `json:"time"`
	Type    string `json:"type"`
	V       int    `json:"v"`
}

// checkExport checks an export against a signed checkpoint and the verifier key
// that it is expected to be signed with. It returns the number of payloads that
// were there.
func checkExport(export, checkpoint []byte, vkey string) (payloads int, err error) {
	size, root, err := checkCheckpoint(checkpoint, vkey)
	if err != nil {
		return 0, err
	}
	var leaves [][]byte
	prev, last := make([]byte, 32), ""
	scanner := bufio.NewScanner(bytes.NewReader(export))
	for scanner.Scan() {
		i := len(leaves)
		var line struct {
			Entry   string  `json:"entry"`
			Salt    []byte  `json:"salt"`
			Payload *string `json:"payload"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return 0, fmt.Errorf("line %d: %w", i+1, err)
		}
		var e envelope
		if err := json.Unmarshal([]byte(line.Entry), &e); err != nil {
			return 0, fmt.Errorf("entry %d: %w", i, err)
		}
		// The members are in order and hold nothing that JSON would escape, so
		// that the standard library writes the canonical form.
		if canonical, err := json.Marshal(e); err != nil || string(canonical) != line.Entry {
			return 0, fmt.Errorf("entry %d is not canonical: %s", i, line.Entry)
		}
		switch {
		case e.V != 1:
			return 0, fmt.Errorf("entry %d has version %d", i, e.V)
		case e.Index != uint64(i):
			return 0, fmt.Errorf("entry %d says it is entry %d", i, e.Index)
		case !bytes.Equal(e.Prev, prev):
			return 0, fmt.Errorf("entry %d does not name the hash of the one before", i)
		case e.Time < last: // one form of fixed length, so text compares as time does
			return 0, fmt.Errorf("entry %d is older than the one before", i)
		}
		leaf := sha256.Sum256(append([]byte{0}, line.Entry...))
		leaves = append(leaves, leaf[:])
		prev, last = leaf[:], e.Time
		if line.Payload == nil {
			continue
		}
		payloads++
		if len(line.Salt) != 16 {
			return 0, fmt.Errorf("entry %d has a salt of %d bytes", i, len(line.Salt))
		}
		commitment := sha256.Sum256([]byte("custody payload v1\n" + string(line.Salt) + *line.Payload))
		if !bytes.Equal(e.Payload, commitment[:]) {
			return 0, fmt.Errorf("entry %d does not commit to its payload", i)
		}
	}
	if err := scanner.Err(); err != nil {
		return 0, err
	}
	if len(leaves) != size {
		return 0, fmt.Errorf("there are %d entries, the checkpoint covers %d", len(leaves), size)
	}
	if !bytes.Equal(merkleRoot(leaves), root) {
		return 0, errors.New("the entries do not have the root that was signed")
	}
	return payloads, nil
}

// merkleRoot is MTH of RFC 6962 section 2.1, as it is defined there.
func merkleRoot(leaves [][]byte) []byte {
	switch n := len(leaves); n {
	case 0:
		sum := sha256.Sum256(nil)
		return sum[:]
	case 1:
		return leaves[0]
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		node := append([]byte{1}, merkleRoot(leaves[:k])...)
		sum := sha256.Sum256(append(node, merkleRoot(leaves[k:])...))
		return sum[:]
	}
}

// checkCheckpoint checks the signature of a checkpoint, docs/format/checkpoint.md.
func checkCheckpoint(checkpoint []byte, vkey string) (size int, root []byte, err error) {
	// vkey: name, key id in hex, base64 of the algorithm 1 and the public key.
	fields := strings.SplitN(vkey, "+", 3)
	if len(fields) != 3 {
		return 0, nil, errors.New("not a verifier key")
	}
	name := fields[0]
	key, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil || len(key) != 33 || key[0] != 1 {
		return 0, nil, errors.New("not an Ed25519 verifier key")
	}
	sum := sha256.Sum256([]byte(name + "\n" + string(key)))
	id := sum[:4]
	if fmt.Sprintf("%x", id) != fields[1] {
		return 0, nil, errors.New("the key does not have its id")
	}

	text, signatures, ok := strings.Cut(string(checkpoint), "\n\n")
	if !ok {
		return 0, nil, errors.New("no signatures")
	}
	text += "\n"
	signed := false
	for line := range strings.Lines(signatures) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(parts) != 3 || parts[0] != "—" {
			return 0, nil, fmt.Errorf("not a signature line: %q", line)
		}
		sig, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil || len(sig) < 4 {
			return 0, nil, fmt.Errorf("not a signature: %q", line)
		}
		if parts[1] == name && bytes.Equal(sig[:4], id) {
			if !ed25519.Verify(key[1:], []byte(text), sig[4:]) {
				return 0, nil, errors.New("the signature is wrong")
			}
			signed = true
		}
	}
	if !signed {
		return 0, nil, errors.New("not signed with the key")
	}
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] != name {
		return 0, nil, errors.New("not a checkpoint of this trail")
	}
	if size, err = strconv.Atoi(lines[1]); err != nil {
		return 0, nil, err
	}
	root, err = base64.StdEncoding.DecodeString(lines[2])
	return size, root, err
}

func TestIndependentCheck(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("testdata/golden/v1/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	export, checkpoint := read("export.ndjson"), read("checkpoint")
	vkeys := strings.Fields(string(read("vkeys")))
	lines := bytes.Count(export, []byte("\n"))
	for _, vkey := range vkeys {
		payloads, err := checkExport(export, checkpoint, vkey)
		if err != nil || payloads != lines-1 {
			t.Fatalf("%d of %d payloads, %v", payloads, lines, err)
		}
	}

	// It sees one bit that is flipped anywhere. Where that makes the export's
	// own line lose a member, a payload is missing.
	for i := range export {
		b := bytes.Clone(export)
		b[i] ^= 1
		if payloads, err := checkExport(b, checkpoint, vkeys[0]); err == nil && payloads == lines-1 {
			t.Errorf("byte %d, %q for %q: not seen", i, b[i], export[i])
		}
	}
	for i := range bytes.Index(checkpoint, []byte("\n\n")) {
		b := bytes.Clone(checkpoint)
		b[i] ^= 1
		if _, err := checkExport(export, b, vkeys[0]); err == nil {
			t.Errorf("byte %d of the checkpoint: not seen", i)
		}
	}
	// An independent reading of the rotation: a note of the old and the new key.
	rotation := string(read("rotation"))
	want := "custody key rotation v1\n" + "example.org/trail\n" + vkeys[0] + "\n" + vkeys[1] + "\n"
	if text, _, _ := strings.Cut(rotation, "\n\n"); text+"\n" != want {
		t.Errorf("rotation %q, want %q", text, want)
	}
	for _, vkey := range vkeys {
		if _, _, err := checkCheckpoint([]byte(rotation), vkey); err == nil || strings.Contains(err.Error(), "signature") {
			t.Errorf("rotation with key %s: %v; expected it to be signed, and no checkpoint", vkey, err)
		}
	}
}
