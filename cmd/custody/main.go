// Command custody keeps a tamper-evident audit trail of what AI agents do.
//
// Each command has a file of its own: its flags, how they are read, and a
// function that does the work. Results go to standard output; everything else,
// such as errors, warnings and progress, to standard error.
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/internal/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	p := &program{in: os.Stdin, out: terminal.New(os.Stdout), err: terminal.New(os.Stderr)}
	slog.SetDefault(slog.New(&warnings{out: p.err}))
	os.Exit(p.main(ctx, os.Args[1:]))
}

// program is what every command works with.
type program struct {
	in  io.Reader
	out *terminal.Output // results
	err *terminal.Output // everything else

	trail     string // --trail
	keyDir    string // --key-dir
	redaction string // --redaction
	tokenFile string // --token-file

	onServer *client.Trail // the trail of the command, once it is open and where it is on a server
}

// main runs one command line and returns the exit status.
func (p *program) main(ctx context.Context, args []string) int {
	root := newRootCommand(p)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if ferr := p.out.Flush(); err == nil {
		err = ferr
	}
	p.withheld()
	p.report(err)
	return exitStatus(err)
}

// The exit statuses. They are part of every command's help.
const (
	exitOK       = 0
	exitFindings = 1
	exitFailure  = 2

	exitUnrecorded = 1 // of a hook: agents take 2 for a denial
)

// errFindings says that a command has found the trail to be damaged and has said
// what it found.
var errFindings = errors.New("the trail does not check out")

// exitStatus is the only place that knows which error means which status.
func exitStatus(err error) int {
	switch child, ok := errors.AsType[*mirrored](err); {
	case err == nil:
		return exitOK
	case ok:
		return child.exit.Mirror()
	case isUnrecorded(err):
		return exitUnrecorded
	case errors.Is(err, errFindings), errors.Is(err, custody.ErrAltered), errors.Is(err, custody.ErrDamaged), isHeld(err):
		return exitFindings
	default:
		return exitFailure
	}
}
