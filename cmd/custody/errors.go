package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/terminal"
)

// hinted is an error with what to try next.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// withHint returns err with what to try next.
func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// errInterrupted says that somebody stopped a command before it was done.
var errInterrupted = errors.New("interrupted")

// interrupted puts the error for people in the place of ctx's.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return errInterrupted
	}
	return err
}

// report says on standard error what went wrong, and what to try next.
func (p *program) report(err error) {
	if err == nil || errors.Is(err, errFindings) || isMirrored(err) {
		return
	}
	p.err.Printf("%s %s\n", p.err.Paint(terminal.Alarm, "error:"), continued(err.Error()))
	if hint := p.hintFor(err); hint != "" {
		p.hint("%s", hint)
	}
	p.err.Flush()
}

// warn says on standard error what somebody should know although the command
// goes on.
func (p *program) warn(format string, args ...any) {
	p.err.Printf("%s %s\n", p.err.Paint(terminal.Yellow, "warning:"), continued(fmt.Sprintf(format, args...)))
	p.err.Flush()
}

// hint says on standard error what to try next.
func (p *program) hint(format string, args ...any) {
	p.err.Printf("%s %s\n", p.err.Paint(terminal.Bold, "hint:"), continued(fmt.Sprintf(format, args...)))
	p.err.Flush()
}

// note says on standard error how a command went.
func (p *program) note(format string, args ...any) {
	p.err.Printf(format+"\n", args...)
	p.err.Flush()
}

// continued makes the further lines of a message stand below its first.
func continued(s string) string {
	return strings.ReplaceAll(terminal.Lines(s), "\n", "\n       ")
}

// hintFor returns what to try next.
func (p *program) hintFor(err error) string {
	var h *hinted
	var locked *custody.LockedError
	var invalid *event.ValidationError
	var refused *client.Problem
	var pending *client.PendingError
	var unreached *url.Error
	trail := p.trailFlag()
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		return "give an API token: --token-file FILE, or CUSTODY_TOKEN; custody token create makes one where the server runs"
	case errors.As(err, &pending):
		return "the other one approves it with POST /v1/requests/" + pending.Request + "/approve, or on the server's page; docs/http.md has more"
	case errors.As(err, &unreached):
		return "is the server there, and is that its address? custody serve says what it is"
	case errors.As(err, &locked):
		holder := "the process that has it"
		if locked.Holder != "" {
			holder = locked.Holder
		}
		return fmt.Sprintf("a trail has one writer at a time: wait until %s ends, or stop it; reading (query, show, verify, …) works meanwhile", holder)
	case errors.Is(err, custody.ErrKey):
		return "bring the key file to that place, or name the directory of keys with --key-dir or CUSTODY_KEYS; reading needs no key"
	case errors.Is(err, custody.ErrNewer):
		return "use the version of custody that wrote it, or a newer one; this is not damage"
	case errors.Is(err, custody.ErrDamaged), errors.Is(err, custody.ErrAltered):
		return fmt.Sprintf("custody verify%s says what is damaged and since which entry; the files are left as they are", trail)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk is full: make room and run it again; what was acknowledged is safe, and what was not is not in the trail or will be cut off when it is opened"
	case errors.Is(err, custody.ErrFailed):
		return "look at the disk that the trail lies on, then run it again: opening the trail checks its end; what was acknowledged is safe"
	case errors.Is(err, custody.ErrConflict):
		return "an id names one event for ever; custody show ID shows the one that is there"
	case errors.As(err, &invalid):
		return "without --strict it is stored with these defects; docs/events.md lists what each type requires"
	case errors.Is(err, fs.ErrPermission):
		return "a trail and its keys belong to whoever created them; run it as that user"
	}
	return ""
}

// warnings is a slog.Handler that writes what a library has to say as lines for
// people.
type warnings struct {
	out   *terminal.Output
	attrs string
}

func (w *warnings) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	attrs := w.attrs
	r.Attrs(func(a slog.Attr) bool {
		attrs += fmt.Sprintf(", %s %v", a.Key, a.Value)
		return true
	})
	if attrs != "" {
		attrs = " (" + attrs[2:] + ")"
	}
	word, style := "warning:", terminal.Yellow
	if r.Level >= slog.LevelError {
		word, style = "error:", terminal.Alarm
	}
	w.out.Printf("%s %s\n", w.out.Paint(style, word), continued(strings.TrimPrefix(r.Message, "custody: ")+attrs))
	return w.out.Flush()
}

func (w *warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *w
	for _, a := range attrs {
		next.attrs += fmt.Sprintf(", %s %v", a.Key, a.Value)
	}
	return &next
}

func (w *warnings) WithGroup(string) slog.Handler { return w }

func isNotFound(err error) bool { return errors.Is(err, custody.ErrNotFound) }
