package main

import (
	"context"
	"fmt"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/wire"
	"github.com/custodylog/custody/tiles"
)

// checkedLogJSON is a published log that was checked, in JSON output.
type checkedLogJSON struct {
	OK        bool           `json:"ok"`
	Origin    string         `json:"origin"`
	Size      uint64         `json:"size"`
	Root      string         `json:"root"`
	Minimum   uint64         `json:"minimum_index"`
	Entries   uint64         `json:"entries"`
	Pruned    uint64         `json:"pruned"`
	Quorum    bool           `json:"quorum"`
	Witnesses []cosignedJSON `json:"witnesses"`
	Findings  []wire.Finding `json:"findings"`
}

// checkLog checks a published log: a directory, or a URL.
func (p *program) checkLog(ctx context.Context, opts checkOptions, policy *evidence.Policy, where string) error {
	source := tiles.Dir(where)
	if isURL(where) {
		c, err := p.httpClient(where)
		if err != nil {
			return err
		}
		source = tiles.HTTP(where, c)
	}
	o := tiles.CheckOptions{From: opts.from}
	if opts.since != "" {
		var err error
		if o.Since, err = p.readCheckpoint(opts.since); err != nil {
			return err
		}
	}
	progress := p.err.NewProgress("checking")
	defer progress.Done()
	o.Progress = func(done, total uint64) {
		progress.Set(done, total, func(time.Duration) string {
			return fmt.Sprintf("%s of %s", terminal.Count(done), terminal.Plural(total, "entry", "entries"))
		})
	}
	r, err := tiles.Check(ctx, source, policy, &o)
	if err != nil {
		return fmt.Errorf("%s could not be checked: %w", where, err)
	}
	progress.Done()
	if opts.json {
		if err := writeJSON(p.out, logToJSON(r)); err != nil {
			return err
		}
	} else {
		p.showLog(r)
	}
	if !r.OK() {
		return errFindings
	}
	return nil
}

func logToJSON(r *tiles.Report) checkedLogJSON {
	j := checkedLogJSON{OK: r.OK(), Origin: r.Origin, Size: r.Size, Root: r.Root.String(), Minimum: r.Minimum, Entries: r.Entries, Pruned: r.Pruned, Quorum: r.Quorum,
		Witnesses: cosignedToJSON(r.Cosigned), Findings: []wire.Finding{}}
	for _, f := range r.Findings {
		j.Findings = append(j.Findings, wire.Finding{Finding: f, Meaning: f.Cause.Meaning()})
	}
	return j
}

func (p *program) showLog(r *tiles.Report) {
	read := terminal.Plural(r.Entries, "entry", "entries")
	if r.Pruned > 0 {
		read += fmt.Sprintf("; %s before entry %d are pruned", terminal.Count(r.Pruned), r.Minimum)
	}
	p.out.Fields(0,
		terminal.Field{Name: "log", Value: terminal.Clean(r.Origin)},
		terminal.Field{Name: "read", Value: read},
		terminal.Field{Name: "witnesses", Value: witnessLines(&evidence.Opened{Cosigned: r.Cosigned})})
	for i := range r.Findings {
		p.showFinding(&r.Findings[i])
	}
	switch {
	case len(r.Findings) > 0:
		p.out.Printf("\n%s  %s\n", p.out.Paint(terminal.Alarm, "NOT OK"), terminal.Plural(uint64(len(r.Findings)), "finding", "findings"))
	case !r.Quorum:
		p.out.Printf("\n%s  everything checks out, but too few witnesses cosigned\n", p.out.Paint(terminal.Alarm, "NOT OK"))
	default:
		p.out.Printf("\n%s  the log of %s checks out, root %s\n", p.out.Paint(terminal.Green, "OK"), terminal.Plural(r.Size, "entry", "entries"), r.Root)
	}
}
