package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/custodylog/custody/evidence"
)

// checkProof checks that the leaf hashes and nodes of proof.json give the root
// that was signed.
func (c *checker) checkProof() {
	if !c.read(proofFile, &c.proof) {
		return
	}
	p := &c.proof
	if n := p.Entries.Count(); n != uint64(len(p.Leaves)) {
		c.report.add(evidence.Altered, proofFile, fmt.Sprintf("it names %d entries, and has %d leaf hashes", n, len(p.Leaves)))
		p.Entries = Set{} // they may be too many to list
		return
	}
	c.indices = slices.Collect(p.Entries.All())
	c.entries = make([]disclosed, len(c.indices))
	checkpoint := &c.report.Checkpoint
	if p.Size != checkpoint.Size || p.Root != checkpoint.Root {
		c.report.add(evidence.Altered, proofFile, "it has another size or root than the checkpoint")
	}
	root, err := Root(checkpoint.Size, p.Entries.Ranges, p.Leaves, p.Nodes)
	switch {
	case err != nil:
		c.report.add(evidence.Altered, proofFile, err.Error())
	case root != checkpoint.Root:
		c.report.addSet(evidence.Forked, proofFile, "the hashes of these entries, with those of the nodes between them, do not give the root that was signed: one of them at least is not the trail's", p.Entries.Ranges)
	}
}

// lines returns the lines of a file, each of which ends in a newline.
func (c *checker) lines(name string) [][]byte {
	b, ok := c.content(name)
	if !ok {
		c.report.add(evidence.Deleted, name, "the file is missing")
	}
	if len(b) == 0 {
		return nil
	}
	text, ends := bytes.CutSuffix(b, []byte("\n"))
	if !ends {
		c.report.add(evidence.Altered, name, "the last line does not end in a newline: the file may be cut off")
	}
	return bytes.Split(text, []byte("\n"))
}

// place gives each line of a file the index that it is about. A line says itself
// which that is; one that says nothing sensible stands for the next index. missing
// is called for the indices without a line, at the end.
func (c *checker) place(name string, indices []uint64, says func([]byte) (uint64, bool), at func(k int, line []byte), missing func(k int)) {
	placed := make([]bool, len(indices))
	k := 0 // behind the last place that a line was given
	for number, line := range c.lines(name) {
		place := k
		if index, ok := says(line); ok {
			if i, found := slices.BinarySearch(indices, index); found && !placed[i] {
				place = i
			}
		}
		if place == len(indices) {
			c.report.add(evidence.Inserted, name, fmt.Sprintf("line %d and those behind it are more than there are entries to be told of", number+1))
			break
		}
		if place < k {
			c.report.add(evidence.Reordered, name, "its line stands behind that of an entry that comes after it", indices[place])
		}
		placed[place] = true
		at(place, line)
		k = max(k, place+1)
	}
	for i, ok := range placed {
		if !ok {
			missing(i)
		}
	}
}

// checkEntries checks each entry against its leaf hash, and the links between
// entries that stand side by side.
func (c *checker) checkEntries() {
	says := func(line []byte) (uint64, bool) {
		e, err := evidence.ParseEntry(line)
		return e.Index, err == nil
	}
	c.place(entriesFile, c.indices, says, func(k int, line []byte) {
		c.entries[k] = c.checkEntry(k, line)
	}, func(k int) {
		c.report.add(evidence.Deleted, entriesFile, "the entry is missing", c.indices[k])
	})
	for k := 1; k < len(c.entries); k++ {
		before, e := &c.entries[k-1], &c.entries[k]
		if !before.parsed || !e.parsed {
			continue
		}
		if c.indices[k-1]+1 == c.indices[k] && e.entry.Prev != evidence.LeafHash(before.line) {
			c.report.add(evidence.Altered, entriesFile, "the entry behind names another hash than that of this one: one of the two was altered", c.indices[k-1])
		}
		if e.entry.Time.Before(before.entry.Time) {
			c.report.add(evidence.TimeReversed, entriesFile, "the entry is dated before the one that is disclosed before it", c.indices[k])
		}
	}
}

func (c *checker) checkEntry(k int, line []byte) disclosed {
	index := c.indices[k]
	e, err := evidence.ParseEntry(line)
	d := disclosed{line: line, entry: e, parsed: err == nil}
	switch {
	case evidence.LeafHash(line) != c.proof.Leaves[k]:
		c.report.add(evidence.Altered, entriesFile, "the entry does not have the leaf hash that proof.json gives it", index)
	case err != nil:
		c.report.add(evidence.Altered, entriesFile, err.Error(), index)
	case e.Index != index:
		c.report.add(evidence.Reordered, entriesFile, fmt.Sprintf("the entry in this place says it is entry %d", e.Index), index)
	}
	return d
}

// entry returns a disclosed entry that can be read.
func (c *checker) entry(index uint64) (*disclosed, bool) {
	k, ok := slices.BinarySearch(c.indices, index)
	if !ok || !c.entries[k].parsed {
		return nil, false
	}
	return &c.entries[k], true
}

// checkEvents checks each payload against the commitment in its entry.
func (c *checker) checkEvents() {
	complete := &c.report.Completeness
	if !c.read(completenessFile, complete) {
		*complete = Completeness{}
	}
	expected := complete.Events.Ranges
	if extra := expected.Minus(c.proof.Entries.Ranges); len(extra) > 0 || len(c.indices) == 0 {
		if len(extra) > 0 {
			c.report.addSet(evidence.Altered, completenessFile, "payloads are said to be disclosed of these entries, which are not", extra)
		}
		expected = nil
	}
	says := func(line []byte) (uint64, bool) {
		var e eventLine
		err := json.Unmarshal(line, &e)
		return e.Index, err == nil
	}
	indices := slices.Collect(expected.All())
	c.place(eventsFile, indices, says, func(k int, line []byte) {
		c.checkEvent(indices[k], line)
	}, func(k int) {
		c.report.add(evidence.PayloadMissing, eventsFile, "the event is missing, which the bundle says it has", indices[k])
	})
}

func (c *checker) checkEvent(index uint64, line []byte) {
	var e eventLine
	if err := decode(line, &e); err != nil {
		c.report.add(evidence.Altered, eventsFile, err.Error(), index)
		return
	}
	if e.Index != index {
		c.report.add(evidence.Reordered, eventsFile, "the event stands where that of this entry has to stand, and has index "+strconv.FormatUint(e.Index, 10), index)
		return
	}
	d, ok := c.entry(index)
	if !ok {
		return // the entry has a finding of its own
	}
	commitment, err := evidence.Commit(e.Salt, []byte(e.Payload))
	switch {
	case err != nil:
		c.report.add(evidence.Altered, eventsFile, err.Error(), index)
	case commitment != d.entry.Payload:
		c.report.add(evidence.Altered, eventsFile, "the payload, or its salt, is not the one that the entry commits to", index)
	default:
		c.events[index] = e.Payload
	}
}

// checkRemovals checks that the events which are said to explain removals do, and that
// the range begins where the trail was pruned up to.
func (c *checker) checkRemovals() {
	if !c.read(removalsFile, &c.report.Removals) {
		return
	}
	minimum := uint64(0) // of the trail, as its events say
	for i, r := range c.report.Removals {
		if i > 0 && r.Event <= c.report.Removals[i-1].Event {
			c.report.add(evidence.Altered, removalsFile, "its events are not in ascending order, each once")
			return
		}
		if err := c.checkRemoval(&r); err != nil {
			c.report.add(evidence.PayloadMissing, removalsFile, fmt.Sprintf("entries %.200s: %v", r.Entries, err), r.Event)
		}
		minimum = max(minimum, r.Minimum)
	}
	if from := c.report.Manifest.Range.From; minimum > 0 && minimum != from {
		c.report.add(evidence.Altered, removalsFile, fmt.Sprintf("the trail was pruned up to entry %d, and the range begins with %d: what was pruned is no part of the answer, or not all of it is told", minimum, from))
	}
}

func (c *checker) checkRemoval(r *Removal) error {
	d, ok := c.entry(r.Event)
	payload, held := c.events[r.Event]
	if !ok || !held {
		return fmt.Errorf("event %d, which is said to explain why their payloads are missing, is not in the bundle as it was committed", r.Event)
	}
	if d.entry.Type != r.Type || r.Type != payloadErased && r.Type != retentionApplied {
		return fmt.Errorf("event %d is of type %s, which explains no missing payload", r.Event, d.entry.Type)
	}
	var event struct {
		Details struct {
			Indices string `json:"indices"`
			Digest  string `json:"digest"`
			What    string `json:"what"`
			Minimum uint64 `json:"minimum_index"`
		} `json:"details"`
	}
	if err := json.Unmarshal([]byte(payload), &event); err != nil {
		return fmt.Errorf("event %d: %w", r.Event, err)
	}
	listed, err := evidence.ParseListed(event.Details.Indices, event.Details.Digest, r.Event)
	if err != nil {
		return fmt.Errorf("event %d: %w", r.Event, err)
	}
	if not := r.Entries.Minus(listed); len(not) > 0 {
		return fmt.Errorf("event %d does not list entry %d", r.Event, not[0].First)
	}
	if event.Details.What != "entries" {
		event.Details.Minimum = 0 // it removed payloads
	}
	if n := len(listed); r.Minimum > 0 && n > 0 && listed[n-1].Last >= r.Minimum {
		return fmt.Errorf("event %d lists entry %d, which is not before the minimum index %d", r.Event, listed[n-1].Last, r.Minimum)
	}
	if event.Details.Minimum != r.Minimum {
		return fmt.Errorf("event %d gives another minimum index than %d, where 0 stands for a removal of payloads", r.Event, r.Minimum)
	}
	return nil
}

// checkCompleteness computes what the bundle discloses, and compares it with what
// it says.
func (c *checker) checkCompleteness() {
	said, m := c.report.Completeness, &c.report.Manifest
	span := m.Range.ranges()
	got := Completeness{Asked: said.Asked, Disclosed: c.proof.Entries, Events: said.Events, From: m.Range.From, To: m.Range.To}
	got.account(c.report.Removals, c.report.Holds)
	got.judge(&m.Scope, c.report.Checkpoint.Size, func(index uint64) (time.Time, bool) {
		if d, ok := c.entry(index); ok {
			return d.entry.Time, true
		}
		return time.Time{}, false
	})
	if m.Range.To > c.report.Checkpoint.Size {
		c.report.add(evidence.Altered, manifestFile, fmt.Sprintf("the range goes up to %d, and the trail has %d entries", m.Range.To, c.report.Checkpoint.Size))
	}
	if extra := got.Asked.Minus(got.Disclosed.Intersect(span)); len(extra) > 0 {
		c.report.addSet(evidence.Altered, completenessFile, "these entries are said to be asked for, and are not disclosed or not in the range", extra)
	}
	if missing := got.Asked.Intersect(got.Disclosed.Ranges).Minus(got.Events.Ranges).Minus(got.Removed()); len(missing) > 0 {
		c.report.addSet(evidence.PayloadMissing, eventsFile, "there is no payload, and no event that explains why it is missing", missing)
	}
	if both := got.Pruned.Intersect(got.Disclosed.Ranges); len(both) > 0 {
		c.report.addSet(evidence.Altered, removalsFile, "these entries are said to be pruned, and are disclosed", both)
	}
	was, _ := canonical(&said) // neither can fail: they have numbers, sets and text
	if is, _ := canonical(&got); !bytes.Equal(was, is) {
		c.report.add(evidence.Altered, completenessFile, "it is not what follows from the other files, which is "+string(is))
	}
	if want := (Counts{got.Asked.Count(), got.Disclosed.Count(), got.Events.Count(), got.Removed().Count()}); m.Counts != want {
		c.report.add(evidence.Altered, manifestFile, fmt.Sprintf("its counts are %+v, and there are %+v", m.Counts, want))
	}
	c.report.Completeness = got
}
