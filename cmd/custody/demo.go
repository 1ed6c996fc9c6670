package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/transcript"
	"github.com/custodylog/custody/internal/demo"
	"github.com/custodylog/custody/internal/recording"
	"github.com/custodylog/custody/internal/terminal"
	"github.com/custodylog/custody/internal/timeline"
)

func newDemoCommand(p *program) *cobra.Command {
	keep := false
	cmd := &cobra.Command{
		Use:   "demo [--keep]",
		Short: "See it work, in a few seconds",
		Long: `Create a trail that is thrown away, import a real agent session that ships with the
program, record a few events as an agent's gate would, and verify it. Then flip one byte
in a copy, and see what verify says.

Everything happens in a temporary directory; --keep leaves it there, to look around.`,
		GroupID: groupOther,
		Args:    cobra.NoArgs,
		Example: `  custody demo
  custody demo --keep`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), p, keep) },
	}
	annotate(cmd, `  0  everything went as it should, and the damage was found
  2  something did not`)
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the directory")
	return cmd
}

func runDemo(ctx context.Context, p *program, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "custody-demo-")
	if err != nil {
		return err
	}
	if !keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	d := &demonstration{p: p, dir: dir, trail: filepath.Join(dir, "trail"), copy: filepath.Join(dir, "copy"), keys: filepath.Join(dir, "keys")}
	for _, step := range []func(context.Context) error{d.create, d.importSession, d.recordLive, d.tell, d.verify, d.damage} {
		if err := interrupted(ctx, step(ctx)); errors.Is(err, errInterrupted) {
			return err
		} else if err != nil {
			// Not wrapped: what the demo finds must not pass for a finding
			// in a trail of the user's.
			return fmt.Errorf("the demo did not go as it should: %v", err)
		}
	}
	d.outlook(keep)
	return nil
}

// demonstration is one run of the demo.
type demonstration struct {
	p                      *program
	dir, trail, copy, keys string
	steps                  int
	bill                   custody.Receipt // of the event that is damaged later
}

// token is the secret that the agent of the demo sends. It is nobody's.
const token = "demo-token-5f2a9c"

// demoSession is the session of the events that the demo records itself.
const demoSession = "demo-session"

// title begins a step.
func (d *demonstration) title(format string, args ...any) {
	d.steps++
	if d.steps > 1 {
		d.p.out.Printf("\n")
	}
	d.p.out.Printf("%s\n", d.p.heading(fmt.Sprintf("%d  "+format, append([]any{d.steps}, args...)...)))
	d.p.out.Flush()
}

func (d *demonstration) say(format string, args ...any) {
	d.p.out.Printf("   "+format+"\n", args...)
	d.p.out.Flush()
}

func (d *demonstration) open(dir string, readOnly bool) (*custody.Trail, error) {
	return custody.Open(dir, &custody.Options{KeyDir: d.keys, ReadOnly: readOnly, DiskWarning: -1})
}

func (d *demonstration) create(context.Context) error {
	d.title("A new trail, and its key outside of it")
	vkey, err := custody.Create(d.trail, custody.CreateOptions{Origin: "example.org/demo", KeyDir: d.keys})
	if err != nil {
		return err
	}
	d.say("%s", d.trail)
	d.say("verifier key %s", vkey)
	return nil
}

func (d *demonstration) importSession(ctx context.Context) (err error) {
	d.title("A real session of a coding agent is imported")
	t, err := d.open(d.trail, false)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	r, err := ingest.Decompress(bytes.NewReader(demo.Session()))
	if err != nil {
		return err
	}
	start := time.Now()
	var events []event.Event
	calls := 0
	for item, err := range transcript.Read(r, ingest.Source{Name: "the session"}) {
		if err != nil {
			return err
		}
		if item.Event.Type == event.ActionRequested {
			calls++
		}
		events = append(events, item.Event)
	}
	if _, err := recording.Record(ctx, t, events); err != nil {
		return err
	}
	d.say("%s, of them %s, on the disk in %s", terminal.Plural(len(events), "event", "events"), terminal.Plural(calls, "tool call", "tool calls"), terminal.Duration(time.Since(start)))
	return nil
}

// recordLive records what a gate in front of an agent would.
func (d *demonstration) recordLive(ctx context.Context) (err error) {
	d.title("Another agent works behind a gate that records what it asks for")
	t, err := d.open(d.trail, false)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	action := func(id, tool, resource string, input map[string]any) custody.Action {
		return custody.Action{ID: id, Tool: tool, Resource: resource, Input: input, AgentID: "demo-agent", SessionID: demoSession}
	}
	read := action("demo-1", "Read", "/srv/reports/q3.csv", nil)
	remove := action("demo-2", "Bash", "rm -rf /srv/reports", map[string]any{"command": "rm -rf /srv/reports"})
	remove.Destructive = true
	deploy := action("demo-3", "Bash", "git push origin main", map[string]any{"command": "git push origin main"})
	fetch := action("demo-4", "HTTP", "https://api.example.com/export", map[string]any{"headers": map[string]any{"Authorization": "Bearer " + token}})
	late := action("demo-5", "Bash", "crontab -e", map[string]any{"command": "crontab -e"})
	for _, record := range []func() (custody.Receipt, error){
		func() (custody.Receipt, error) { return t.ActionRequested(ctx, read) },
		func() (custody.Receipt, error) { return t.ActionValidated(ctx, read, custody.Verdict{}) },
		func() (custody.Receipt, error) {
			return t.ActionExecuted(ctx, read, custody.Execution{Duration: 12 * time.Millisecond, OutputBytes: 48_112})
		},
		func() (custody.Receipt, error) { return t.ActionRequested(ctx, remove) },
		func() (custody.Receipt, error) {
			return t.ActionDenied(ctx, remove, custody.Verdict{PolicyID: "no-deletion", Reasons: []string{"deletes outside of the workspace"}})
		},
		func() (custody.Receipt, error) { return t.ActionRequested(ctx, deploy) },
		func() (custody.Receipt, error) {
			return t.ActionValidated(ctx, deploy, custody.Verdict{Decision: event.RequireApproval, Reasons: []string{"pushes to a protected branch"}})
		},
		func() (custody.Receipt, error) {
			return t.ApprovalRequested(ctx, deploy, custody.Approval{ID: "demo-approval"})
		},
		func() (custody.Receipt, error) {
			return t.ApprovalGranted(ctx, deploy, custody.Approval{ID: "demo-approval", DecidedBy: "operator", Scope: "once", Reason: "reviewed", Wait: 95 * time.Second})
		},
		func() (custody.Receipt, error) {
			return t.ActionExecuted(ctx, deploy, custody.Execution{Duration: 2100 * time.Millisecond})
		},
		func() (custody.Receipt, error) { return t.ActionRequested(ctx, fetch) },
		func() (custody.Receipt, error) {
			return t.ActionFailed(ctx, fetch, errors.New("502 Bad Gateway"), custody.Execution{Duration: 840 * time.Millisecond, Layer: "transport"})
		},
		func() (custody.Receipt, error) {
			return t.BudgetWarning(ctx, custody.Budget{AgentID: "demo-agent", SessionID: demoSession, Scope: "session", Usage: 195_000, Limit: 200_000, Threshold: 90})
		},
		func() (custody.Receipt, error) { return t.ActionRequested(ctx, late) },
		func() (custody.Receipt, error) {
			return t.EmergencyStop(ctx, custody.Stop{Type: "agent", TriggeredBy: "operator", Reason: "it asks for things that nobody gave it to do", AffectedAgents: []string{"demo-agent"}, SessionID: demoSession})
		},
	} {
		r, err := record()
		if err != nil {
			return err
		}
		if e, err := t.Entry(ctx, r.Index); err == nil && e.Type == event.BudgetWarning {
			d.bill = r
		}
	}
	d.say("15 events: reading, a deletion that is denied, a push that an operator approves,")
	d.say("a request that fails, a budget that runs out, an emergency stop")
	found, err := contains(d.trail, token)
	if err != nil {
		return err
	}
	if found {
		return errors.New("the agent's token is in the trail")
	}
	d.say("one of them carried the token %s: it is in no file of the trail, since secrets", token)
	d.say("under telling names are redacted before anything is hashed or written")
	return nil
}

// contains reports whether a file in dir holds a text.
func contains(dir, text string) (found bool, err error) {
	err = filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found = found || bytes.Contains(b, []byte(text))
		return err
	})
	return found, err
}

// tell shows both timelines, of the imported session only the part around the
// call that the person rejected.
func (d *demonstration) tell(ctx context.Context) (err error) {
	t, err := d.open(d.trail, true)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	steps, err := stepsOf(ctx, t, custody.Query{SessionID: demo.SessionID})
	if err != nil {
		return err
	}
	items := timeline.Build(steps)
	d.title("What happened around the call that the person rejected")
	part := around(items)
	if part == nil {
		return errors.New("the imported session has no denied action")
	}
	d.p.showTimeline(part, false)
	d.say("that was a part: the whole session has %s", terminal.Plural(len(items), "line", "lines"))

	d.title("And what the other agent did")
	if steps, err = stepsOf(ctx, t, custody.Query{SessionID: demoSession}); err != nil {
		return err
	}
	d.p.showTimeline(timeline.Build(steps), false)
	return nil
}

// around returns a few lines before and behind the first denied action.
func around(items []timeline.Item) []timeline.Item {
	var main []timeline.Item
	for _, item := range items {
		if item.Action != nil || item.Step.Main() {
			main = append(main, item)
		}
	}
	for i := range main {
		if a := main[i].Action; a != nil && a.Status == timeline.Denied {
			return main[max(0, i-5):min(len(main), i+3)]
		}
	}
	return nil
}

func (d *demonstration) verify(ctx context.Context) (err error) {
	d.title("Is it as it was recorded? Everything is computed again from the stored bytes")
	t, err := d.open(d.trail, true)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	report, err := d.p.verify(ctx, t, custody.VerifyOptions{})
	if err != nil {
		return err
	}
	d.p.showReport(t, report)
	if !report.OK() {
		return errors.New("a trail that nobody has touched does not check out")
	}
	return nil
}

// damage flips one byte in a copy of the trail and lets verify find it.
func (d *demonstration) damage(ctx context.Context) (err error) {
	d.title("Now somebody makes the agent look cheaper: one byte, in a copy of the trail")
	if err := os.CopyFS(d.copy, os.DirFS(d.trail)); err != nil {
		return err
	}
	const before, after = `"current_usage":195000`, `"current_usage":105000`
	file, at, err := d.flip(ctx, before, after)
	if err != nil {
		return err
	}
	d.say("%s, byte %d, in entry %d:", file, at, d.bill.Index)
	d.say("%s  becomes  %s", before, after)
	d.p.out.Printf("\n")
	t, err := d.open(d.copy, true)
	if err != nil {
		return err
	}
	defer closing(t, &err)
	report, err := d.p.verify(ctx, t, custody.VerifyOptions{})
	if err != nil {
		return err
	}
	d.p.showReport(t, report)
	if len(report.Findings) != 1 || report.Findings[0].Index != d.bill.Index || report.Findings[0].Cause != evidence.Altered {
		return fmt.Errorf("verify should have named entry %d as altered, and nothing else", d.bill.Index)
	}
	return nil
}

// flip replaces before by after, which differs in one byte, in the payload of the
// event that tells the costs. It returns the file and the place in it.
func (d *demonstration) flip(ctx context.Context, before, after string) (file string, at int, err error) {
	t, err := d.open(d.copy, true)
	if err != nil {
		return "", 0, err
	}
	defer closing(t, &err)
	e, err := t.Entry(ctx, d.bill.Index)
	if err != nil {
		return "", 0, err
	}
	tails, err := filepath.Glob(filepath.Join(d.copy, "tail", "*.tail"))
	if err != nil {
		return "", 0, err
	}
	for _, file := range tails {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", 0, err
		}
		start, within := bytes.Index(b, e.Payload), bytes.Index(e.Payload, []byte(before))
		if start < 0 || within < 0 {
			continue
		}
		copy(b[start+within:], after)
		at := start + within + strings.IndexFunc(before, func(r rune) bool { return r == '9' })
		return filepath.Base(file), at, os.WriteFile(file, b, 0o600)
	}
	return "", 0, errors.New("the event that tells the costs is not in the files of the copy")
}

// outlook says what to try next.
func (d *demonstration) outlook(keep bool) {
	d.title("Your turn")
	if keep {
		d.say("custody show %d --trail %s", d.bill.Index, d.trail)
		d.say("custody query --type action_failed --trail %s", d.trail)
		d.say("custody verify --trail %s", d.copy)
	} else {
		d.say("custody demo --keep                        the same, and the trail stays for a look")
	}
	d.say("custody init                               a trail of your own")
	d.say("custody import claude ~/.claude/projects   with what your agents have done so far")
	d.say("custody checkpoint --out FILE              keep it elsewhere: it shows later if all was rewritten")
	d.say("custody --help")
}
