package benchmark

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"

	"github.com/custodylog/custody"
)

// FeedEvents is how many events a writer should record before it is killed:
// enough that it seals segments.
const FeedEvents = 200_000

// feedMost times as many it records if nobody kills it.
const feedMost = 20

// feedReady is the line that Feed writes when it may be killed.
const feedReady = "ready"

// Feed opens the trail in dir and records events under the sustained load. Once
// n are recorded it writes a line to out, and goes on until the process is
// killed. If that does not happen, it ends with an error.
func Feed(ctx context.Context, dir string, n int, out io.Writer) (err error) {
	t, err := custody.Open(dir, Options(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	log, w := &TrailLog{Trail: t}, NewWorkload(1)
	if _, err := Sustained.Run(ctx, log, w, t.Size(), n); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, feedReady); err != nil {
		return err
	}
	if _, err := Sustained.Run(ctx, log, w, t.Size(), feedMost*n); err != nil {
		return err
	}
	return errors.New("nobody killed this process in the midst of its work")
}

// Reopened is how long it takes to open a trail whose writer was killed.
type Reopened struct {
	Size   uint64        `json:"trail_size"`
	Times  int           `json:"times"`
	Median time.Duration `json:"median_ns"`
	Max    time.Duration `json:"max_ns"`

	// FirstAnswer is the median time from the beginning until an entry was
	// found by its id.
	FirstAnswer time.Duration `json:"first_answer_ns"`
}

// Reopen kills a writer n times, each in the midst of its work, and measures
// how long it takes to open the trail again for writing. feed returns a command
// that runs Feed on dir.
func Reopen(ctx context.Context, dir string, n int, feed func(ctx context.Context, dir string) (*exec.Cmd, error)) (Reopened, error) {
	var r Reopened
	var opening, answering []time.Duration
	for range n {
		cmd, err := feed(ctx, dir)
		if err != nil {
			return r, err
		}
		if err := feedAndKill(cmd); err != nil {
			return r, err
		}
		start := time.Now()
		t, err := custody.Open(dir, Options(false))
		if err != nil {
			return r, err
		}
		opening = append(opening, time.Since(start))
		r.Size = t.Size()
		e, err := t.Entry(ctx, r.Size/2)
		if err == nil {
			ev, err2 := e.Event()
			if err = err2; err == nil {
				_, err = t.EntryByID(ctx, ev.ID)
			}
		}
		answering = append(answering, time.Since(start))
		if err := errors.Join(err, t.Close()); err != nil {
			return r, err
		}
	}
	slices.Sort(opening)
	slices.Sort(answering)
	r.Times, r.Median, r.Max, r.FirstAnswer = n, quantile(opening, 0.5), opening[n-1], quantile(answering, 0.5)
	return r, nil
}

// feedAndKill starts the writer and kills it as soon as it says that it is at
// work.
func feedAndKill(cmd *exec.Cmd) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, readErr := bufio.NewReader(out).ReadString('\n')
	killErr := cmd.Process.Kill()
	waitErr := cmd.Wait()
	if readErr != nil || line != feedReady+"\n" {
		return fmt.Errorf("the process that writes the trail ended too early, after %q: %w", line, errors.Join(readErr, waitErr))
	}
	return killErr
}
