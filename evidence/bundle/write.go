package bundle

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
)

// The names of the files of a bundle. Those from keysFile to schemaFile stand in
// the manifest, in this order.
const (
	verifyFile       = "VERIFY.md"
	pageFile         = "index.html"
	manifestFile     = "manifest.json"
	checkpointFile   = "checkpoint"
	keysFile         = "keys.txt"
	rotationFolder   = "rotations/" // with 1, 2, …
	policyFile       = "policy.txt" // optional
	timestampFolder  = "timestamps/"
	timestampSuffix  = ".tsr"
	proofFile        = "proof.json"
	entriesFile      = "entries.ndjson"
	eventsFile       = "events.ndjson"
	removalsFile     = "removals.json"
	holdsFile        = "holds.json"
	completenessFile = "completeness.json"
	schemaFile       = "schema.json" // optional
)

// Contents is what a bundle is made of.
type Contents struct {
	Scope Scope
	Range Span // the indices that the question comes to

	Checkpoint []byte           // signed, with its cosignatures; covers all entries of the bundle
	Keys       []string         // vkeys that the trail has signed with, oldest first; the last one signed Checkpoint
	Rotations  [][]byte         // the statement that passes from each key to the next
	Policy     []byte           // C2SP tlog-policy with the log and its witnesses; nil if there is none
	Timestamps []TimestampToken // for Checkpoint
	Schema     []byte           // JSON Schema of the payloads; nil to leave it out

	// Entries yields the entries to disclose, in the order of their indices:
	// the events asked for; for a question about a time the entry before and
	// the one behind the range; and the events of Removals and Holds. Bytes are read
	// before the next one is asked for. The bundle is not written after an
	// error.
	Entries iter.Seq2[Item, error]

	// Hashes reads the hashes of the trail's tree.
	Hashes evidence.HashReader

	// Removals explains the payloads that are missing in the range and, where the
	// range begins at the trail's minimum index and the question reaches further
	// back, which entries were pruned: in the order of the events, each of which is
	// there once.
	Removals []Removal

	// Holds are the legal holds in force that cover entries of the range, in the
	// order of their events.
	Holds []Hold

	Created time.Time // now
	Program string    // that makes the bundle, with its version
}

// Item is an entry to disclose.
type Item struct {
	Index uint64
	Entry []byte // as it was hashed

	// Salt and Payload are nil if the payload is not disclosed, or not held.
	Salt, Payload []byte

	Asked bool // the question asks for the event
}

// TimestampToken is a time-stamp token (RFC 3161) for the body of a checkpoint.
type TimestampToken struct {
	Name  string // of the authority: lower-case letters, digits, '.' and '-'
	Token []byte // DER
}

// verifyText is VERIFY.md, which is the same in every bundle.
//
//go:embed page/VERIFY.md
var verifyText []byte

// Write writes a bundle, all of it after it was checked as [Check] does: a
// bundle that would not check out is not written, and the error has the first
// finding. It is built in memory, which takes a few times its size; see
// [MaxSize].
func Write(w io.Writer, c *Contents) error {
	files, err := c.files()
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if report := checkFiles(files, &CheckOptions{}); !report.OK() {
		return fmt.Errorf("bundle is not written, since it would not check out: %s", report.Findings[0])
	}
	b, err := pack(files)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	_, err = w.Write(b)
	return err
}

// files returns the files of the bundle in their order in the zip.
func (c *Contents) files() ([]file, error) {
	checkpoint, err := evidence.PeekCheckpoint(c.Checkpoint)
	if err != nil {
		return nil, err
	}
	d, err := c.disclose()
	if err != nil {
		return nil, err
	}
	proof, err := d.prove(&checkpoint, c.Hashes)
	if err != nil {
		return nil, err
	}
	complete := Completeness{Asked: Set{d.asked}, Disclosed: proof.Entries, Events: Set{d.withPayload}, From: c.Range.From, To: c.Range.To}
	complete.account(c.Removals, c.Holds)
	complete.judge(&c.Scope, checkpoint.Size, d.timeOf)

	listed := []file{{checkpointFile, c.Checkpoint}, {keysFile, []byte(strings.Join(append(c.Keys, ""), "\n"))}}
	for i, statement := range c.Rotations {
		listed = append(listed, file{rotationFolder + strconv.Itoa(i+1), statement})
	}
	if c.Policy != nil {
		listed = append(listed, file{policyFile, c.Policy})
	}
	for _, t := range c.Timestamps {
		listed = append(listed, file{timestampFolder + t.Name + timestampSuffix, t.Token})
	}
	for _, part := range []struct {
		name  string
		value any
	}{{proofFile, proof}, {removalsFile, append([]Removal{}, c.Removals...)}, {holdsFile, append([]Hold{}, c.Holds...)}, {completenessFile, &complete}} {
		b, err := canonical(part.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		listed = append(listed, file{part.name, b})
	}
	listed = append(listed, file{entriesFile, d.entries.Bytes()}, file{eventsFile, d.events.Bytes()})
	if c.Schema != nil {
		listed = append(listed, file{schemaFile, c.Schema})
	}
	listed = append([]file{{verifyFile, verifyText}}, listed...)

	manifest := Manifest{
		Counts:  Counts{d.asked.Count(), d.disclosed.Count(), d.withPayload.Count(), complete.Removed().Count()},
		Created: Time{c.Created}, Format: Format, Origin: checkpoint.Origin, Page: pageDigest(pageTemplate),
		Program: c.Program, Range: c.Range, Scope: c.Scope,
	}
	for _, f := range listed {
		manifest.Files = append(manifest.Files, describe(f))
	}
	b, err := canonical(&manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", manifestFile, err)
	}
	shown := append([]file{{manifestFile, b}}, listed...)
	page, err := fillPage(shown)
	if err != nil {
		return nil, err
	}
	return append([]file{{pageFile, page}}, shown...), nil
}

func describe(f file) File {
	sum := sha256.Sum256(f.content)
	return File{Name: f.name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(f.content))}
}

// disclosure gathers what Entries yields.
type disclosure struct {
	disclosed, asked, withPayload evidence.Ranges
	entries, events               bytes.Buffer // the two files
	leaves                        []evidence.Hash
	times                         map[uint64]time.Time
}

func (c *Contents) disclose() (*disclosure, error) {
	d := &disclosure{times: map[uint64]time.Time{}}
	next := uint64(0)
	for item, err := range c.Entries {
		if err != nil {
			return nil, err
		}
		if item.Index < next {
			return nil, fmt.Errorf("entry %d comes behind entry %d; they have to be in order, each once", item.Index, next-1)
		}
		next = item.Index + 1
		entry, err := evidence.ParseEntry(item.Entry)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", item.Index, err)
		}
		d.times[item.Index] = entry.Time
		d.leaves = append(d.leaves, evidence.LeafHash(item.Entry))
		d.disclosed.Add(item.Index)
		d.entries.Write(item.Entry)
		d.entries.WriteByte('\n')
		if item.Asked {
			d.asked.Add(item.Index)
		}
		if item.Payload != nil {
			line, err := newLine(item.Index, item.Salt, item.Payload)
			if err != nil {
				return nil, err
			}
			d.withPayload.Add(item.Index)
			d.events.Write(line)
			d.events.WriteByte('\n')
		}
		if d.entries.Len()+d.events.Len() > MaxUnpacked/4 { // the page has it all again, escaped
			return nil, fmt.Errorf("entries up to %d have more than %d bytes, which is too much for one bundle; ask for a smaller range", item.Index, MaxUnpacked/4)
		}
	}
	return d, nil
}

func (d *disclosure) timeOf(index uint64) (time.Time, bool) {
	at, ok := d.times[index]
	return at, ok
}

func (d *disclosure) prove(c *evidence.Checkpoint, hashes evidence.HashReader) (*proof, error) {
	cover := Cover(c.Size, d.disclosed)
	stored := make([]int64, len(cover))
	for i, node := range cover {
		stored[i] = tlog.StoredHashIndex(node.Level, int64(node.Index))
	}
	nodes := []evidence.Hash{}
	if len(stored) > 0 {
		var err error
		if nodes, err = hashes.ReadHashes(stored); err != nil {
			return nil, fmt.Errorf("hashes of the tree: %w", err)
		}
		if len(nodes) != len(stored) {
			return nil, errors.New("hashes of the tree: the reader gave another number of them than it was asked for")
		}
	}
	return &proof{Entries: Set{d.disclosed}, Leaves: append([]evidence.Hash{}, d.leaves...), Nodes: nodes, Root: c.Root, Size: c.Size}, nil
}
