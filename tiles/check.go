package tiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
)

// CheckOptions says what of a published log is checked. The zero value is for all of
// it.
type CheckOptions struct {
	// From is the log's minimum index, or where an earlier check ended: the entries
	// before it are not read, but for those of the bundle that holds it. The tree
	// over them is taken from the tiles.
	From uint64

	// Since is a signed checkpoint of the log that was kept from before. The log
	// must extend it. Without one, nothing tells a log from another history that
	// was signed with the same key.
	Since []byte

	// Workers is how many bundles are fetched at the same time. Default: 8.
	Workers int

	// Progress, if not nil, is called now and then with the number of entries done
	// and their total, from the goroutine of Check.
	Progress func(done, total uint64)
}

const defaultWorkers = 8

// Report is what a check of a published log found.
type Report struct {
	Origin string
	Size   uint64        // of the checkpoint
	Root   evidence.Hash // the checkpoint's; that of the entries, if nothing was found

	// Checkpoint is the log's, as it was served: what to keep for the next check, as
	// [CheckOptions].Since.
	Checkpoint []byte

	Minimum uint64 // first entry that was read
	Pruned  uint64 // entries before it that were to be read, and that the log does not serve
	Entries uint64 // entries that were read

	// Cosigned lists the policy's witnesses that cosigned the checkpoint. Quorum says
	// whether they are those that the policy asks for.
	Cosigned []evidence.Cosignature
	Quorum   bool

	// Findings is all that does not check out, by index. Where is the path of what
	// it was found in.
	Findings []evidence.Finding
}

// OK reports whether nothing was found and the policy's quorum is met. Pruned entries
// are none of both: whether the log may have pruned them is not in the log.
func (r *Report) OK() bool { return len(r.Findings) == 0 && r.Quorum }

// Check reads a published log and checks it from outside (C2SP tlog-tiles): the
// checkpoint under the policy; every entry, its form, its place, its link to the entry
// before and its time, as an [evidence.Chain] does; every entry bundle and every tile
// of the tree of that size, to the byte; and that their root is the checkpoint's. Of a
// checkpoint that the log did not sign nothing is believed, so the rest is not read.
// opts may be nil.
//
// A log that lost its first bundles has pruned them: the rest is checked, and
// [Report].Pruned says so. The tree over what was pruned is taken from the tiles, for
// which the root vouches. The first bundle that is there is searched for by halves, so
// what is served before a gap is taken for pruned as well.
//
// An error means that the check could not be completed, such as when the log cannot be
// reached, not that something was found. Memory grows with what is found, and not with
// the log. A log can have as many entries as its operator likes: the context bounds how
// long reading them may take.
func Check(ctx context.Context, src Source, policy *evidence.Policy, opts *CheckOptions) (*Report, error) {
	if opts == nil {
		opts = &CheckOptions{}
	}
	c := &checker{src: src, opts: *opts, report: &Report{}}
	if c.opts.Workers <= 0 {
		c.opts.Workers = defaultWorkers
	}
	if policy == nil {
		return nil, errors.New("checking a log takes a policy that names its key")
	}
	if opts.Since != nil {
		since, err := policy.Open(opts.Since)
		if err != nil && !errors.Is(err, evidence.ErrQuorum) { // that it was kept is enough
			return nil, fmt.Errorf("the earlier checkpoint: %w", err)
		}
		c.since = &since.Checkpoint
		if c.since.Size < opts.From {
			return nil, fmt.Errorf("the earlier checkpoint covers %d entries, and what is before entry %d is not to be read, so they cannot be compared; begin at entry %d or before", c.since.Size, opts.From, c.since.Size)
		}
	}
	signed, err := src.Fetch(ctx, checkpointPath)
	if errors.Is(err, ErrTooLarge) {
		c.found(evidence.Altered, 0, 0, checkpointPath, err.Error())
		return c.report, nil
	} else if err != nil {
		return nil, fmt.Errorf("the checkpoint of the log cannot be fetched: %w", err)
	}
	signedByLog, err := c.open(signed, policy)
	if err == nil && signedByLog {
		err = c.check(ctx)
	}
	if err != nil {
		return nil, err
	}
	return c.report, nil
}

// open checks the checkpoint under the policy. It reports whether the log signed it;
// whether enough witnesses did is in the report.
func (c *checker) open(signed []byte, policy *evidence.Policy) (byLog bool, err error) {
	claimed, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		c.found(evidence.Altered, 0, 0, checkpointPath, err.Error())
		return false, nil
	}
	r := c.report
	r.Origin, r.Size, r.Root, r.Checkpoint = claimed.Origin, claimed.Size, claimed.Root, signed
	opened, err := policy.Open(signed)
	var unverified *note.UnverifiedNoteError
	known := slices.ContainsFunc(policy.Logs(), func(log note.Verifier) bool { return log.Name() == claimed.Origin })
	switch {
	case opened != nil:
		r.Cosigned, r.Quorum = opened.Cosigned, opened.Quorum
	case !known || errors.As(err, &unverified):
		c.found(evidence.KeySwapped, 0, 0, checkpointPath, err.Error())
		return false, nil
	default:
		c.found(evidence.Altered, 0, 0, checkpointPath, err.Error())
		if errors.Is(err, evidence.ErrUnsigned) {
			return false, nil
		}
	}
	if c.since != nil && c.since.Origin != claimed.Origin {
		return false, fmt.Errorf("the earlier checkpoint is of the log %q, and this is %q", c.since.Origin, claimed.Origin)
	}
	return true, nil
}

// check checks what the checkpoint covers.
func (c *checker) check(ctx context.Context) error {
	r := c.report
	if c.since != nil && c.since.Size > r.Size {
		c.found(evidence.RolledBack, r.Size, c.since.Size-r.Size, checkpointPath, fmt.Sprintf("the checkpoint kept from before covers %d entries, the log's %d", c.since.Size, r.Size))
		c.since = nil // there is nothing that could be compared
	}
	switch {
	case r.Size == 0:
		c.found(evidence.Wiped, 0, 0, checkpointPath, "the log holds no entry: there is nothing to check")
		return nil
	case c.opts.From > r.Size && len(r.Findings) > 0:
		return nil
	case c.opts.From > r.Size:
		return fmt.Errorf("the log has %d entries, and what is to be checked begins at entry %d; begin earlier", r.Size, c.opts.From)
	}
	if err := c.findMinimum(ctx); err != nil {
		return err
	}
	if err := c.walk(ctx); err != nil {
		return err
	}
	c.conclude()
	return nil
}

// findMinimum finds the first bundle that is served, from that of opts.From on.
func (c *checker) findMinimum(ctx context.Context) error {
	missing := func(bundle uint64) (bool, error) {
		_, err := c.load(ctx, c.tileAt(evidence.EntriesLevel, bundle))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return true, nil
		case err == nil, errors.Is(err, ErrTooLarge):
			return false, nil
		}
		return false, errFetch(err)
	}
	last := (c.report.Size - 1) / evidence.TileWidth
	first := min(c.opts.From/evidence.TileWidth, last) // a log that has not grown since is checked at its end
	c.report.Minimum = first * evidence.TileWidth
	if m, err := missing(first); err != nil || !m {
		return err
	}
	if m, err := missing(last); err != nil || m {
		return err // the last bundle is never pruned, so nothing tells that the others are
	}
	gone, there := first, last
	for gone+1 < there {
		middle := gone + (there-gone)/2
		if m, err := missing(middle); err != nil {
			return err
		} else if m {
			gone = middle
		} else {
			there = middle
		}
	}
	c.report.Minimum = there * evidence.TileWidth
	c.report.Pruned = (there - first) * evidence.TileWidth
	return nil
}

// tileAt returns the tile of a level, or the entry bundle, with that index, as wide as
// it is in the tree of the checkpoint.
func (c *checker) tileAt(level int, index uint64) evidence.Tile {
	hashes := c.report.Size >> (8 * max(level, 0))
	return evidence.Tile{Level: level, Index: index, Width: int(min(hashes-index*evidence.TileWidth, evidence.TileWidth))}
}

func (c *checker) found(cause evidence.Cause, index, count uint64, where, detail string) {
	c.report.Findings = append(c.report.Findings, evidence.Finding{Cause: cause, Index: index, Count: count, Where: where, Detail: detail})
}
