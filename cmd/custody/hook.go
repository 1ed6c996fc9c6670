package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/ingest/hooks"
	"github.com/custodylog/custody/internal/terminal"
)

type hookOptions struct {
	project    string
	spool      string
	failClosed string // "", failTrail or failSpool
	timeout    time.Duration
	flush      bool
	again      bool
}

// What --fail-closed asks for before an agent may go on.
const (
	failTrail = "trail"
	failSpool = "spool"
)

// Bounds of a hook.
const (
	hookTimeout       = 2 * time.Second
	sessionEndTimeout = 1200 * time.Millisecond // what agents give all hooks of this event together is 1.5 s
	flushTimeout      = time.Minute
	maxHookMessage    = 16 << 20 // bytes
)

func newHookCommand(p *program) *cobra.Command {
	opts := hookOptions{timeout: hookTimeout}
	cmd := &cobra.Command{
		Use:   "hook AGENT [EVENT] [MESSAGE] [FLAGS] | --flush",
		Short: "Record what an agent tells its hook, and answer it",
		Long: `Run as a hook of an agent: record what it says on standard input, and print the
answer that it expects, nothing else. AGENT is one of
` + strings.Join(hooks.Products(), ", ") + `.
EVENT is what the hook is for, where the agent does not say it itself. MESSAGE is what
the agent says, where it hands it over as an argument, as the setting notify of Codex
does. While an emergency stop holds, the answer denies what the agent wants. No agent says
which project it works in: a stop of a project holds for the hooks that --project names it to.

When the message cannot be recorded now, it is kept in a spool on this machine, with the
time, and recorded before the next one, or by --flush. Then the agent goes on, unless
the trail can still say that a stop holds; with --fail-closed it is denied what it wants
until the trail has the message, with --fail-closed=spool until at least the spool has
it. What was denied like that is recorded as such later. What is refused, as when the
token is not good for that agent, is set aside, and tried again by --flush --again.

The spool holds messages as the agent sent them: secrets are redacted when they are
recorded. custody connect puts this command into the settings of an agent.`,
		GroupID: groupWrite,
		Args:    cobra.ArbitraryArgs, // a usage error must not look like a denial
		Example: `  custody hook claude-code --trail http://127.0.0.1:8420
  custody hook cursor beforeShellExecution --fail-closed
  custody hook --flush --again`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFailClosed(cmd, opts.failClosed); err != nil {
				opts.failClosed = failTrail // something was asked for
				return opts.failed(usageError(cmd, err))
			}
			if opts.again && !opts.flush {
				return opts.failed(usageError(cmd, errors.New("--again goes with --flush")))
			}
			if opts.flush {
				if len(args) > 0 {
					return usageError(cmd, errors.New("--flush records what is in the spool; it takes no agent"))
				}
				if !cmd.Flags().Changed("timeout") {
					opts.timeout = flushTimeout
				}
				return runHookFlush(cmd.Context(), p, opts)
			}
			h, err := opts.read(p, args)
			if err != nil {
				return opts.failed(usageError(cmd, err))
			}
			return h.answer(cmd.Context())
		},
	}
	annotate(cmd, `  0  the message is recorded or in the spool, or the answer denies what the agent wants
  1  the message is neither recorded nor in the spool, and the agent goes on
  2  the same, and the agent must not go on: its hooks have no answer that says so`)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// The flags behind a wrong one are not read, and --fail-closed may be one of them.
		if opts.failClosed == "" && slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "--fail-closed") }) {
			opts.failClosed = failTrail
		}
		return opts.failed(usageError(cmd, err))
	})
	f := cmd.Flags()
	f.StringVar(&opts.failClosed, "fail-closed", "", "deny what is not in the trail; with `=spool`, what is not even in the spool")
	f.Lookup("fail-closed").NoOptDefVal = failTrail
	f.StringVar(&opts.project, "project", "", "`ID` of the project that the agent works in")
	f.StringVar(&opts.spool, "spool", "", "`DIR` of the spools (default: custody/spool in the user's state directory)")
	f.DurationVar(&opts.timeout, "timeout", opts.timeout, "the agent is answered after `TIME` at the latest, at the end of a session after "+sessionEndTimeout.String())
	f.BoolVar(&opts.flush, "flush", false, "record what is in the spool")
	f.BoolVar(&opts.again, "again", false, "with --flush: also what was refused before, and set aside")
	cmd.MarkFlagDirname("spool")
	return cmd
}

// checkFailClosed checks the value of --fail-closed. One that is empty is as wrong as any
// other: who gives it, as by a variable that is not set, does not mean that all goes on.
func checkFailClosed(cmd *cobra.Command, value string) error {
	if value == failTrail || value == failSpool || !cmd.Flags().Changed("fail-closed") {
		return nil
	}
	return fmt.Errorf("--fail-closed=%.40s: it is %s or %s", value, failTrail, failSpool)
}

// unrecordedError says that a message is not recorded, and the agent goes on.
type unrecordedError struct{ error }

func (e *unrecordedError) Unwrap() error { return e.error }

func isUnrecorded(err error) bool {
	_, ok := errors.AsType[*unrecordedError](err)
	return ok
}

// failed makes of an error what becomes of the agent by it: to most agents the exit
// status 2 is a denial.
func (o *hookOptions) failed(err error) error {
	if err == nil || o.failClosed != "" {
		return err
	}
	return &unrecordedError{err}
}

// hookRun is one message on its way.
type hookRun struct {
	p       *program
	opts    hookOptions
	place   hookPlace
	message hookMessage
	report  *hooks.Report
	until   time.Time // the agent is answered
}

// read reads what the command line says, and the message.
func (o *hookOptions) read(p *program, args []string) (*hookRun, error) {
	h := &hookRun{p: p, opts: *o, place: p.hookPlace(), message: hookMessage{ID: custody.NewID(), Time: time.Now().UTC(), Project: o.project}}
	h.until = h.message.Time.Add(o.timeout)
	switch {
	case o.timeout < 100*time.Millisecond:
		return nil, fmt.Errorf("--timeout %s: nothing is recorded in less than 100ms", o.timeout)
	case len(args) == 0 || !slices.Contains(hooks.Products(), args[0]):
		return nil, fmt.Errorf("say which agent it is: %s", strings.Join(hooks.Products(), ", "))
	}
	h.message.Agent, args = args[0], args[1:]
	if n := len(args); n > 0 && strings.HasPrefix(args[n-1], "{") {
		h.message.Body, args = []byte(args[n-1]), args[:n-1]
	}
	if len(args) > 0 {
		h.message.Event, args = args[0], args[1:]
	}
	if len(args) > 0 {
		return nil, fmt.Errorf("%.40q: expected at most an event and a message, which is a JSON object", args[0])
	}
	return h, nil
}

// readBody reads the message, unless it was an argument.
func (h *hookRun) readBody() error {
	if h.message.Body == nil {
		type read struct {
			body []byte
			err  error
		}
		done := make(chan read, 1)
		go func() {
			var r read
			if fault := h.p.caught(func() { r.body, r.err = io.ReadAll(io.LimitReader(h.p.in, maxHookMessage+1)) }); fault != nil {
				r.err = fault
			}
			done <- r
		}()
		select {
		case r := <-done:
			if r.err != nil {
				return fmt.Errorf("reading the message: %w", r.err)
			}
			h.message.Body = r.body
		case <-time.After(time.Until(h.until)):
			return fmt.Errorf("standard input did not end within %s", h.opts.timeout)
		}
	}
	if len(bytes.TrimSpace(h.message.Body)) == 0 {
		return fmt.Errorf("%s says nothing: its message is to be on standard input, or the last argument", h.message.Agent)
	}
	if len(h.message.Body) > maxHookMessage {
		return fmt.Errorf("the message has more than %s", terminal.Bytes(int64(maxHookMessage)))
	}
	report, err := h.message.parse()
	if err != nil {
		return fmt.Errorf("the message of %s: %w", h.message.Agent, err)
	}
	h.report = report
	switch report.Event {
	case "SessionEnd", "sessionEnd":
		if until := h.message.Time.Add(sessionEndTimeout); until.Before(h.until) {
			h.until = until
		}
	}
	return nil
}

// answer records the message and answers the agent, whatever goes wrong.
func (h *hookRun) answer(ctx context.Context) error {
	var err error
	if fault := h.p.caught(func() { err = h.run(ctx) }); fault != nil {
		return h.unread(fault)
	}
	return err
}

// run records the message and answers the agent.
func (h *hookRun) run(ctx context.Context) error {
	if err := h.readBody(); err != nil {
		return h.unread(err)
	}
	type result struct {
		answer hooks.Answer
		err    error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		if fault := h.p.caught(func() { r.answer, r.err = h.record(ctx) }); fault != nil {
			r.answer, r.err = h.unrecorded(fault)
		}
		done <- r
	}()
	var r result
	select {
	case r = <-done:
	case <-time.After(time.Until(h.until)):
		r.answer, r.err = h.unrecorded(fmt.Errorf("it took longer than %s", h.until.Sub(h.message.Time)))
	}
	h.p.out.Write(r.answer.Body)
	return r.err
}

// unread answers an agent whose message could not be read: only the command line may say
// what the agent wants.
func (h *hookRun) unread(why error) error {
	report := &hooks.Report{Product: h.message.Agent, Event: h.message.Event}
	answer := report.Silent()
	if h.opts.failClosed != "" {
		refusal, can := report.Refuse("it cannot be recorded: " + why.Error())
		if !can {
			return why
		}
		h.p.warn("%s is denied what it wants: %s", h.message.Agent, terminal.OneLine(why.Error()))
		answer, why = refusal, nil
	}
	h.p.out.Write(answer.Body)
	return h.opts.failed(why)
}

// reserve is the part of the time that is kept for the spool.
const reserve = 300 * time.Millisecond

// record records the message, or keeps it in the spool, and returns what the agent is
// told.
func (h *hookRun) record(ctx context.Context) (hooks.Answer, error) {
	left := time.Until(h.until) - 50*time.Millisecond // to be there before who waits gives up
	ctx, cancel := context.WithTimeout(ctx, left-min(reserve, left/4))
	defer cancel()
	place := h.place
	defer place.close()
	box, noBox := h.p.hookSpool(h.opts.spool)
	var err error
	if box != nil {
		first, cancel := context.WithTimeout(ctx, left/2)
		r, rerr := replayHooks(first, place, box)
		cancel()
		h.p.tellReplayed(&r, box)
		err = rerr
	}
	if err == nil {
		var answer []byte
		if answer, err = place.ask(ctx, &h.message, h.report); err == nil {
			return hooks.Answer{Body: answer}, nil
		}
		if box == nil {
			err = fmt.Errorf("%w; nor can it be kept in a spool: %w", err, noBox)
		}
		if box == nil || neverTaken(err) {
			if answer, denied := h.stopped(ctx, place); denied {
				h.p.warn("%s is denied what it wants, and that is not recorded: %s", h.message.Agent, terminal.OneLine(err.Error()))
				return answer, nil
			}
			return h.unrecorded(err)
		}
	}
	return h.keep(ctx, place, box, err)
}

// stopped returns what the agent is told while an emergency stop holds, as far as anybody
// can say that one does in the time that is left, and notes that.
func (h *hookRun) stopped(ctx context.Context, place hookPlace) (answer hooks.Answer, denied bool) {
	stopped, err := place.stopped(ctx, h.report.Sightings)
	if err != nil || stopped == "" {
		return h.report.Silent(), false
	}
	if answer, denied = h.report.Refuse(stopped); denied {
		h.message.Policy, h.message.Denied = "emergency_stop", stopped
	}
	return answer, denied
}

// keep keeps the message in the spool, because of an error, and returns what the agent
// is told.
func (h *hookRun) keep(ctx context.Context, place hookPlace, box *hookSpool, why error) (hooks.Answer, error) {
	answer, denied := h.stopped(ctx, place)
	if h.opts.failClosed == failTrail && !denied {
		reason := "it cannot be recorded: " + why.Error()
		if answer, denied = h.report.Refuse(reason); denied {
			h.message.Policy, h.message.Denied = "fail_closed", reason
		}
	}
	if err := box.append(&h.message); err != nil {
		return h.unrecorded(fmt.Errorf("%w; nor can it be kept in the spool: %w", why, err))
	}
	h.p.warn("not recorded yet, but kept in %s: %s", box.Dir(), terminal.OneLine(why.Error()))
	return answer, nil
}

// goingOn are the events for which the exit status 2 keeps an agent going.
var goingOn = []string{"Stop", "SubagentStop", "stop", "subagentStop", "agentStop", "AfterAgent"}

// unrecorded returns what the agent is told when its message is nowhere.
func (h *hookRun) unrecorded(why error) (hooks.Answer, error) {
	if h.opts.failClosed == "" {
		return h.report.Silent(), &unrecordedError{why}
	}
	answer, can := h.report.Refuse("it cannot be recorded: " + why.Error())
	if can {
		h.p.warn("%s is denied what it wants: %s", h.message.Agent, terminal.OneLine(why.Error()))
		return answer, nil // agents read the answer of what exits with 0
	}
	known := len(h.report.Sightings) > 0 && h.report.Sightings[0].Mapped
	if known || slices.Contains(goingOn, h.report.Event) { // it is done already
		return answer, &unrecordedError{why}
	}
	return hooks.Answer{}, why
}

func runHookFlush(ctx context.Context, p *program, opts hookOptions) error {
	box, err := p.hookSpool(opts.spool)
	if err != nil {
		return err
	}
	if opts.again {
		if err := box.Again(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	place := p.hookPlace()
	defer place.close()
	r, err := replayHooks(ctx, place, box)
	p.tellReplayed(&r, box)
	p.note("recorded %s from %s", terminal.Plural(r.Taken, "message", "messages"), box.Dir())
	if err == nil && len(r.Aside) > 0 {
		return fmt.Errorf("%s refused, and set aside", terminal.Plural(len(r.Aside), "message is", "messages are"))
	}
	return err
}
