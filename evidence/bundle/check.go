package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
)

// Check reads a bundle of size bytes and checks all of it: the zip, the
// manifest, every entry, payload and proof, the signatures, what it says about
// completeness and removals, and that index.html shows these very files. The
// report has all findings. An error means that r could not be read, not that the
// bundle is bad.
//
// opts may be nil.
func Check(r io.ReaderAt, size int64, opts *CheckOptions) (*Report, error) {
	if opts == nil {
		opts = &CheckOptions{}
	}
	if size > MaxSize {
		report := &Report{}
		report.add(evidence.Altered, "", fmt.Sprintf("it has %d bytes, more than the %d that a bundle can have", size, MaxSize))
		return report, nil
	}
	b := make([]byte, max(size, 0))
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), b); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	var zipped Report
	files, err := unpack(b, func(file, detail string) { zipped.add(evidence.Altered, file, detail) })
	if err != nil {
		zipped.add(evidence.Altered, "", err.Error())
	}
	report := &zipped
	if len(files) > 0 {
		report = checkFiles(files, opts)
		report.Findings = append(zipped.Findings, report.Findings...)
	}
	return report, nil
}

// checker checks the files of a bundle.
type checker struct {
	report *Report
	opts   *CheckOptions
	files  []file

	proof   proof
	indices []uint64 // of the entries disclosed
	entries []disclosed
	events  map[uint64]string // payloads that fit their entries
}

// disclosed is an entry of entries.ndjson.
type disclosed struct {
	line   []byte // nil if there is none
	entry  evidence.Entry
	parsed bool // entry is what line says
}

func checkFiles(files []file, opts *CheckOptions) *Report {
	c := &checker{report: &Report{}, opts: opts, files: files, events: map[uint64]string{}}
	if !c.checkManifest() {
		return c.report
	}
	c.checkSignatures()
	c.checkProof()
	c.checkEntries()
	c.checkEvents()
	c.checkRemovals()
	c.checkHolds()
	c.checkCompleteness()
	c.checkPage()
	return c.report
}

// content returns a file, and false if the bundle does not have it.
func (c *checker) content(name string) ([]byte, bool) {
	i := slices.IndexFunc(c.files, func(f file) bool { return f.name == name })
	if i < 0 {
		return nil, false
	}
	return c.files[i].content, true
}

// read reads a JSON file into v, and reports when that fails.
func (c *checker) read(name string, v any) bool {
	b, ok := c.content(name)
	if !ok {
		c.report.add(evidence.Deleted, name, "the file is missing")
		return false
	}
	if err := decode(b, v); err != nil {
		c.report.add(evidence.Altered, name, err.Error())
		return false
	}
	return true
}

// fileNames are the names that a file of a bundle can have.
var fileNames = regexp.MustCompile(`^(VERIFY\.md|index\.html|manifest\.json|checkpoint|keys\.txt|rotations/[1-9][0-9]{0,3}|policy\.txt|timestamps/[a-z0-9][a-z0-9.-]{0,63}\.tsr|(proof|removals|holds|completeness|schema)\.json|(entries|events)\.ndjson)$`)

// checkManifest checks which files there are, and each against the manifest. It
// reports whether there is a manifest of this format.
func (c *checker) checkManifest() bool {
	m := &c.report.Manifest
	if b, ok := c.content(manifestFile); ok {
		var version struct {
			Format string `json:"format"`
		}
		var n int
		if json.Unmarshal(b, &version) == nil && version.Format != Format {
			if _, err := fmt.Sscanf(version.Format, "custody bundle v%d", &n); err == nil && n > 1 {
				c.report.add(evidence.NewerFormat, manifestFile, fmt.Sprintf("the bundle has the format %q, this program reads %q", version.Format, Format))
				return false
			}
		}
	}
	known := c.read(manifestFile, m)
	if known && m.Format != Format {
		c.report.add(evidence.Altered, manifestFile, fmt.Sprintf("the format is %q; this program reads %q", m.Format, Format))
	}
	if err := m.Scope.check(); err != nil {
		c.report.add(evidence.Altered, manifestFile, err.Error())
	}
	if m.Range.From > m.Range.To || m.Range.To > evidence.MaxIndex+1 {
		c.report.add(evidence.Altered, manifestFile, fmt.Sprintf("%d to %d is no range of indices", m.Range.From, m.Range.To))
		m.Range = Span{}
	}
	var names []string
	for _, f := range c.files {
		if f.name != manifestFile && f.name != pageFile {
			names = append(names, f.name)
		}
		if !fileNames.MatchString(f.name) {
			c.report.add(evidence.Inserted, f.name, "no file of a bundle has this name")
		}
	}
	if !known {
		return true // the rest can be judged without
	}
	listed := make([]string, len(m.Files))
	for i, f := range m.Files {
		listed[i] = f.Name
		if b, ok := c.content(f.Name); !ok {
			c.report.add(evidence.Deleted, f.Name, "the manifest lists the file, and it is missing")
		} else if got := describe(file{f.Name, b}); got != f {
			c.report.add(evidence.Altered, f.Name, fmt.Sprintf("it has %d bytes with the SHA-256 %s; the manifest says %d and %s", got.Size, got.SHA256, f.Size, f.SHA256))
		}
	}
	for _, name := range names {
		if !slices.Contains(listed, name) {
			c.report.add(evidence.Inserted, name, "the manifest does not list the file")
		}
	}
	if first, second := c.files[0].name, len(c.files) > 1 && c.files[1].name == manifestFile; first != pageFile || !second || !slices.Equal(names, listed) {
		c.report.add(evidence.Reordered, "", "its files are not index.html, manifest.json and those that the manifest lists, in this order, each once")
	}
	return true
}

// checkSignatures checks the checkpoint, the keys and what vouches for them.
func (c *checker) checkSignatures() {
	signed, _ := c.content(checkpointFile)
	text, _ := c.content(keysFile)
	checkpoint, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		c.report.add(evidence.Altered, checkpointFile, err.Error())
		return
	}
	c.report.Checkpoint = checkpoint
	if checkpoint.Origin != c.report.Manifest.Origin {
		c.report.add(evidence.Altered, manifestFile, fmt.Sprintf("the origin is %q, and that of the checkpoint %q", c.report.Manifest.Origin, checkpoint.Origin))
	}
	vkeys := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var keys []note.Verifier
	for _, vkey := range vkeys {
		v, err := evidence.ParseVerifier(vkey)
		if err != nil {
			c.report.add(evidence.Altered, keysFile, err.Error())
			return
		}
		if v.Name() != checkpoint.Origin {
			c.report.add(evidence.KeySwapped, keysFile, fmt.Sprintf("key %s is one of %q, not of %q", evidence.KeyID(v.KeyHash()), v.Name(), checkpoint.Origin))
		}
		keys = append(keys, v)
	}
	// The last key has to have signed; the one before may have as well.
	for i := len(keys) - 1; i >= max(0, len(keys)-2); i-- {
		if _, _, err := evidence.OpenCheckpoint(signed, keys[i]); err == nil {
			c.report.SignedBy = append(c.report.SignedBy, vkeys[i])
		} else if i == len(keys)-1 {
			c.report.add(evidence.Unsigned, checkpointFile, fmt.Sprintf("key %s, the last of %s: %v", evidence.KeyID(keys[i].KeyHash()), keysFile, err))
		}
	}
	statements := c.checkRotations(vkeys, keys)
	c.checkTrust(signed, keys, statements)
	c.checkTimestamps(signed)
}

// checkRotations checks that each key was passed to by the one before, and
// returns the statements that say so.
func (c *checker) checkRotations(vkeys []string, keys []note.Verifier) [][]byte {
	var statements [][]byte
	for _, f := range c.files {
		if strings.HasPrefix(f.name, rotationFolder) {
			statements = append(statements, f.content)
		}
	}
	if len(statements) != len(keys)-1 {
		c.report.add(evidence.KeySwapped, keysFile, fmt.Sprintf("there are %d keys, and %d statements in %s that pass from one to the next", len(keys), len(statements), rotationFolder))
		return nil
	}
	for i, statement := range statements {
		name := rotationFolder + strconv.Itoa(i+1)
		next, _, err := evidence.OpenRotation(statement, keys[i])
		switch {
		case err != nil:
			c.report.add(evidence.KeySwapped, name, err.Error())
		case next != vkeys[i+1]:
			c.report.add(evidence.KeySwapped, name, fmt.Sprintf("it passes to another key than the one that comes next in %s", keysFile))
		}
	}
	return statements
}

// checkTrust checks the checkpoint under what is known from elsewhere, and the
// cosignatures.
func (c *checker) checkTrust(signed []byte, keys []note.Verifier, statements [][]byte) {
	if len(c.opts.Keys) > 0 {
		if slices.ContainsFunc(c.opts.Keys, func(known note.Verifier) bool { return vouches(known, signed, keys, statements) }) {
			c.report.Trusted = true
		} else {
			c.report.add(evidence.KeySwapped, checkpointFile, "it is signed neither by a key that you gave nor by one that such a key passed to")
		}
	}
	if own, ok := c.content(policyFile); ok {
		if p, err := evidence.ParsePolicy(own); err != nil {
			c.report.add(evidence.Altered, policyFile, err.Error())
		} else if cause, err := c.openUnder(p, signed); err != nil {
			c.report.add(cause, policyFile, err.Error())
		}
	}
	if c.opts.Policy == nil {
		return
	}
	cause, err := c.openUnder(c.opts.Policy, signed)
	if err != nil {
		c.report.add(cause, checkpointFile, "the policy that you gave: "+err.Error())
	}
	c.report.Trusted = err == nil && (c.report.Trusted || len(c.opts.Keys) == 0)
}

// openUnder opens the checkpoint under a policy, whose witnesses are those whose
// cosignatures the report has from then on. It returns what is wrong with it.
func (c *checker) openUnder(p *evidence.Policy, signed []byte) (evidence.Cause, error) {
	opened, err := p.Open(signed)
	c.report.Cosigned = nil
	if opened != nil {
		c.report.Cosigned = opened.Cosigned
	}
	var wrong *note.InvalidSignatureError
	switch {
	case errors.Is(err, evidence.ErrQuorum):
		return evidence.Unwitnessed, err
	case errors.As(err, &wrong):
		return evidence.Altered, err
	}
	return evidence.KeySwapped, err
}

// vouches reports whether a known key, or one that it passed to, signed the
// checkpoint. Keys are compared by what they verify, since an id has but four
// bytes.
func vouches(known note.Verifier, signed []byte, keys []note.Verifier, statements [][]byte) bool {
	if _, _, err := evidence.OpenCheckpoint(signed, known); err == nil {
		return true
	}
	at := slices.IndexFunc(keys, func(k note.Verifier) bool { return k.KeyHash() == known.KeyHash() && k.Name() == known.Name() })
	if at < 0 || at > len(statements) {
		return false
	}
	for _, statement := range statements[at:] {
		_, next, err := evidence.OpenRotation(statement, known)
		if err != nil {
			return false
		}
		known = next
	}
	_, _, err := evidence.OpenCheckpoint(signed, known)
	return err == nil
}

func (c *checker) checkTimestamps(signed []byte) {
	for _, f := range c.files {
		if path.Ext(f.name) != timestampSuffix {
			continue
		}
		t := Timestamp{Name: strings.TrimSuffix(strings.TrimPrefix(f.name, timestampFolder), timestampSuffix)}
		if c.opts.CheckTimestamp != nil {
			at, err := c.opts.CheckTimestamp(f.content, signed)
			if err != nil {
				c.report.add(evidence.Altered, f.name, err.Error())
			}
			t.Checked, t.Time = err == nil, at
		}
		c.report.Timestamps = append(c.report.Timestamps, t)
	}
}

// checkPage checks that index.html shows the files of the bundle.
func (c *checker) checkPage() {
	page, ok := c.content(pageFile)
	if !ok {
		c.report.add(evidence.Deleted, pageFile, "the file is missing")
		return
	}
	data, digest, err := splitPage(page)
	if err != nil {
		c.report.add(evidence.Altered, pageFile, err.Error())
		return
	}
	c.report.KnownPage = digest == pageDigest(pageTemplate)
	if digest != c.report.Manifest.Page {
		c.report.add(evidence.Altered, pageFile, "without its data it does not have the SHA-256 in the manifest: do not rely on what it shows")
	}
	others := slices.DeleteFunc(slices.Clone(c.files), func(f file) bool { return f.name == pageFile })
	if want, err := pageData(others); err == nil && bytes.Equal(want, data) {
		return
	}
	shown, err := shownFiles(data)
	if err != nil {
		c.report.add(evidence.Altered, pageFile, err.Error())
		return
	}
	c.report.add(evidence.Altered, pageFile, "what it shows is not what the other files of the bundle hold: do not rely on it")
	for _, name := range []string{entriesFile, eventsFile} {
		own, _ := c.content(name)
		if at, differs := c.firstDifference(name, own, []byte(shown[name])); differs {
			c.report.add(evidence.Altered, pageFile, "it shows another "+name+" than the bundle has, which differs first at this entry", at...)
		}
	}
}

// firstDifference returns the index of the first line in which a file and what
// the page shows of it differ, if it can be told.
func (c *checker) firstDifference(name string, own, shown []byte) (index []uint64, differs bool) {
	if bytes.Equal(own, shown) {
		return nil, false
	}
	indices := c.indices
	if name == eventsFile {
		indices = slices.Collect(c.report.Completeness.Events.All())
	}
	if n := bytes.Count(own[:differ(own, shown)], []byte("\n")); n < len(indices) {
		index = indices[n : n+1]
	}
	return index, true
}
