package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The vectors are there for others, too; testdata/vectors/README.md says what is in
// them. A vector that is not valid has a cause, for people, and where several steps
// could fail, the step that does.

const vectorsDir = "../testdata/vectors"

type inclusionVector struct {
	Name  string `json:"name"`
	Index uint64 `json:"index"`
	Size  uint64 `json:"size"`
	Leaf  Hash   `json:"leaf"`
	Root  Hash   `json:"root"`
	Proof []Hash `json:"proof"`
	Valid bool   `json:"valid"`
	Cause string `json:"cause,omitempty"`
}

type consistencyVector struct {
	Name    string `json:"name"`
	Old     uint64 `json:"old"`
	Size    uint64 `json:"size"`
	OldRoot Hash   `json:"old_root"`
	Root    Hash   `json:"root"`
	Proof   []Hash `json:"proof"`
	Valid   bool   `json:"valid"`
	Cause   string `json:"cause,omitempty"`
}

type tileVector struct {
	Path  string      `json:"path"`
	Tile  *vectorTile `json:"tile,omitempty"`
	Valid bool        `json:"valid"`
	Cause string      `json:"cause,omitempty"`
}

type vectorTile struct {
	Level string  `json:"level"` // decimal, or "entries"
	Index decimal `json:"index"`
	Width int     `json:"width"`
	// MinSize is the smallest size of a log that has all that is in the tile. It
	// is left out when that is 2^64 or more.
	MinSize decimal `json:"min_size,omitempty"`
}

type bundleVector struct {
	Name    string   `json:"name"`
	Bundle  []byte   `json:"bundle"`
	Width   int      `json:"width"`
	Entries [][]byte `json:"entries,omitempty"`
	Valid   bool     `json:"valid"`
	Cause   string   `json:"cause,omitempty"`
}

type sampleVector struct {
	Name    string    `json:"name"`
	Seed    []byte    `json:"seed"`
	Root    Hash      `json:"root"`
	Size    decimal   `json:"size"`
	N       int       `json:"n"`
	Indices []decimal `json:"indices"`
}

// proofVector is a .tlog-proof file and what a check under a policy gives.
type proofVector struct {
	File   string        `json:"file"`
	Policy string        `json:"policy"`
	Proves *vectorProven `json:"proves,omitempty"`
	Valid  bool          `json:"valid"`
	Step   string        `json:"step,omitempty"`
	Cause  string        `json:"cause,omitempty"`
}

type vectorProven struct {
	Index    uint64     `json:"index"`
	Size     uint64     `json:"size"`
	Hash     Hash       `json:"hash"`
	Payload  []byte     `json:"payload,omitempty"` // left out if it is not disclosed
	Cosigned []cosigner `json:"cosigned"`
}

type cosigner struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

type consistencyProofVector struct {
	File   string   `json:"file"`
	Policy string   `json:"policy"`
	Sizes  []uint64 `json:"sizes,omitempty"` // of the old and the new checkpoint
	Valid  bool     `json:"valid"`
	Step   string   `json:"step,omitempty"`
	Cause  string   `json:"cause,omitempty"`
}

// policyVector is a policy file and the checkpoints that it accepts and refuses.
type policyVector struct {
	File        string            `json:"file"`
	Valid       bool              `json:"valid"`
	Line        int               `json:"line,omitempty"` // where the mistake is; 0: in no line
	Cause       string            `json:"cause,omitempty"`
	Checkpoints []checkpointCheck `json:"checkpoints,omitempty"`
}

type checkpointCheck struct {
	File  string `json:"file"`
	Valid bool   `json:"valid"`
	Step  string `json:"step,omitempty"`
}

// decimal is written as a string, since many JSON readers hold no integers beyond
// 2^53.
type decimal uint64

func (d decimal) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(d), 10), nil }

func (d *decimal) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 10, 64)
	*d = decimal(n)
	return err
}

// The steps at which a check can fail.
const (
	stepParse       = "parse"       // the file does not have its form
	stepDisclosed   = "disclosed"   // the extra data or the entry in it does not have its form
	stepCommitment  = "commitment"  // the entry commits to another payload
	stepIndex       = "index"       // the proof is for another index than the entry has
	stepLog         = "log"         // no known log signed the checkpoint
	stepCosignature = "cosignature" // a known witness's cosignature is wrong
	stepQuorum      = "quorum"      // too few witnesses cosigned
	stepInclusion   = "inclusion"   // the hashes do not lead to the root
	stepOrigin      = "origin"      // the checkpoints are of two logs
	stepConsistency = "consistency" // the hashes do not lead from root to root
)

// stepOf tells from an error of Check or Open which step failed.
func stepOf(err error) string {
	for _, s := range []struct{ text, step string }{
		{"commits to another payload", stepCommitment},
		{"but discloses entry", stepIndex},
		{"disclosed entry", stepDisclosed},
		{"discloses no entry", stepDisclosed},
		{"cosignature:", stepCosignature},
		{"signature of the log", stepLog},
		{"the policy has no log", stepLog},
		{"inclusion proof", stepInclusion},
		{"has no entry", stepInclusion},
		{"of two trails", stepOrigin},
		{"consistency proof", stepConsistency},
		{"different roots", stepConsistency},
		{"cannot begin with", stepConsistency},
	} {
		if strings.Contains(err.Error(), s.text) {
			return s.step
		}
	}
	if errors.Is(err, ErrQuorum) {
		return stepQuorum
	}
	return err.Error()
}

func readVector(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorsDir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readVectors reads a list of vectors. Each valid one is without cause, each other
// one has one.
func readVectors[V any](t *testing.T, name string, verdict func(v *V) (valid bool, cause string)) []V {
	t.Helper()
	var list []V
	d := json.NewDecoder(bytes.NewReader(readVector(t, name)))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	good, bad := 0, 0
	for i := range list {
		valid, cause := verdict(&list[i])
		if valid != (cause == "") {
			t.Errorf("%s: vector %d: valid %v, cause %q", name, i, valid, cause)
		}
		if valid {
			good++
		} else {
			bad++
		}
	}
	if good == 0 || bad == 0 {
		t.Errorf("%s: %d good vectors and %d bad ones", name, good, bad)
	}
	return list
}

// TestVectorsAreCurrent compares the files with what the code gives, and with
// -update writes them, before the tests behind it read them.
func TestVectorsAreCurrent(t *testing.T) {
	want := makeVectors(t)
	if *update {
		for name, content := range want {
			name = filepath.Join(vectorsDir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := filepath.WalkDir(vectorsDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(vectorsDir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		content, ok := want[name]
		if !ok && name != "README.md" && name != "signed-events.json" { // package event writes the latter
			t.Errorf("%s is left over: nothing writes it", name)
		}
		if got := readVector(t, name); ok && !bytes.Equal(got, content) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, content)
		}
		delete(want, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

// TestVectors reads the vectors as anybody would, from the files alone.
func TestVectors(t *testing.T) {
	for _, v := range readVectors(t, "inclusion.json", func(v *inclusionVector) (bool, string) { return v.Valid, v.Cause }) {
		if err := CheckInclusion(v.Proof, v.Index, v.Size, v.Leaf, v.Root); (err == nil) != v.Valid {
			t.Errorf("inclusion, %s: %v; %s", v.Name, err, v.Cause)
		}
	}
	for _, v := range readVectors(t, "consistency.json", func(v *consistencyVector) (bool, string) { return v.Valid, v.Cause }) {
		if err := CheckConsistency(v.Proof, v.Old, v.Size, v.OldRoot, v.Root); (err == nil) != v.Valid {
			t.Errorf("consistency, %s: %v; %s", v.Name, err, v.Cause)
		}
	}
	for _, v := range readVectors(t, "tiles.json", func(v *tileVector) (bool, string) { return v.Valid, v.Cause }) {
		tile, err := ParseTile(v.Path)
		if (err == nil) != v.Valid {
			t.Errorf("tile %q: %v; %s", v.Path, err, v.Cause)
		}
		if err != nil {
			continue
		}
		level := strconv.Itoa(tile.Level)
		if tile.Level == EntriesLevel {
			level = "entries"
		}
		least := uint64(v.Tile.MinSize)
		if got := (vectorTile{level, decimal(tile.Index), tile.Width, v.Tile.MinSize}); got != *v.Tile || tile.Path() != v.Path {
			t.Errorf("tile %q: %+v, path %q", v.Path, got, tile.Path())
		}
		if least > 0 && (!tile.Exists(least) || tile.Exists(least-1)) || least == 0 && tile.Exists(1<<64-1) {
			t.Errorf("tile %q: of a log of %d entries: %v, of one less: %v", v.Path, least, tile.Exists(least), tile.Exists(least-1))
		}
	}
	for _, v := range readVectors(t, "bundles.json", func(v *bundleVector) (bool, string) { return v.Valid, v.Cause }) {
		entries, err := ParseBundle(v.Bundle, v.Width)
		if (err == nil) != v.Valid || !slices.EqualFunc(entries, v.Entries, bytes.Equal) {
			t.Errorf("bundle, %s: %q, %v; %s", v.Name, entries, err, v.Cause)
		}
	}
	var samples []sampleVector
	if err := json.Unmarshal(readVector(t, "samples.json"), &samples); err != nil || len(samples) == 0 {
		t.Fatal(len(samples), err)
	}
	for _, v := range samples {
		got := Sample(v.Seed, v.Root, uint64(v.Size), v.N)
		if !slices.EqualFunc(got, v.Indices, func(a uint64, b decimal) bool { return a == uint64(b) }) {
			t.Errorf("sample, %s: %v, want %v", v.Name, got, v.Indices)
		}
	}
}

func vectorPolicy(t *testing.T, file string) *Policy {
	t.Helper()
	return parsePolicy(t, string(readVector(t, file)))
}

func TestVectorsOfProofs(t *testing.T) {
	steps := make(map[string]bool)
	for _, v := range readVectors(t, "proofs.json", func(v *proofVector) (bool, string) { return v.Valid, v.Cause }) {
		steps[v.Step] = true
		p, err := ParseProof(readVector(t, v.File))
		if err != nil {
			if v.Step != stepParse {
				t.Errorf("%s: %v", v.File, err)
			}
			continue
		}
		got, err := p.Check(vectorPolicy(t, v.Policy))
		if err != nil {
			if step := stepOf(err); step != v.Step {
				t.Errorf("%s fails at step %q, want %q: %v", v.File, step, v.Step, err)
			}
			continue
		}
		if !v.Valid {
			t.Errorf("%s passes; %s", v.File, v.Cause)
			continue
		}
		if proven := (vectorProven{got.Entry.Index, got.Checkpoint.Size, got.Hash, got.Disclosed.Payload, cosigners(got.Cosigned)}); !reflect.DeepEqual(&proven, v.Proves) {
			t.Errorf("%s proves %+v", v.File, got)
		}
	}
	for _, step := range []string{stepParse, stepDisclosed, stepCommitment, stepIndex, stepLog, stepCosignature, stepQuorum, stepInclusion} {
		if !steps[step] {
			t.Errorf("no proof fails at step %q", step)
		}
	}
}

func cosigners(cosigned []Cosignature) (list []cosigner) {
	for _, c := range cosigned {
		list = append(list, cosigner{c.Name, c.Time})
	}
	return list
}

func TestVectorsOfConsistencyProofs(t *testing.T) {
	steps := make(map[string]bool)
	for _, v := range readVectors(t, "consistency-proofs.json", func(v *consistencyProofVector) (bool, string) { return v.Valid, v.Cause }) {
		steps[v.Step] = true
		p, err := ParseConsistencyProof(readVector(t, v.File))
		if err != nil {
			if v.Step != stepParse {
				t.Errorf("%s: %v", v.File, err)
			}
			continue
		}
		old, latest, err := p.Check(vectorPolicy(t, v.Policy))
		if err != nil {
			if step := stepOf(err); step != v.Step {
				t.Errorf("%s fails at step %q, want %q: %v", v.File, step, v.Step, err)
			}
			continue
		}
		if sizes := []uint64{old.Checkpoint.Size, latest.Checkpoint.Size}; !slices.Equal(sizes, v.Sizes) {
			t.Errorf("%s proves %+v, %+v; %s", v.File, old, latest, v.Cause)
		}
	}
	for _, step := range []string{stepParse, stepLog, stepCosignature, stepQuorum, stepOrigin, stepConsistency} {
		if !steps[step] {
			t.Errorf("no proof fails at step %q", step)
		}
	}
}

func TestVectorsOfPolicies(t *testing.T) {
	for _, v := range readVectors(t, "policies.json", func(v *policyVector) (bool, string) { return v.Valid, v.Cause }) {
		p, err := ParsePolicy(readVector(t, v.File))
		if (err == nil) != v.Valid {
			t.Errorf("%s: %v; %s", v.File, err, v.Cause)
		}
		if err != nil {
			if v.Line > 0 && !strings.HasPrefix(err.Error(), "policy, line "+strconv.Itoa(v.Line)+":") {
				t.Errorf("%s: %v, want line %d: %s", v.File, err, v.Line, v.Cause)
			}
			continue
		}
		for _, c := range v.Checkpoints {
			if _, err := p.Open(readVector(t, c.File)); (err == nil) != c.Valid || err != nil && stepOf(err) != c.Step {
				t.Errorf("%s opens %s with %v, want step %q", v.File, c.File, err, c.Step)
			}
		}
	}
}
