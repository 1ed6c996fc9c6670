//go:build unix

package custody

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// A test that needs another process runs this binary again as a child.
const (
	childDir  = "CUSTODY_TEST_DIR"
	childKeys = "CUSTODY_TEST_KEYS"
	childTag  = "CUSTODY_TEST_TAG" // begins every id that the child gives
)

var roles = map[string]func(*Trail) error{
	"hold":    childHold,
	"append":  childAppend,
	"load":    childLoad,
	"limited": childLimited,
	"batches": childBatches,
	"erase":   childErase,
}

func init() { runChild = runRole }

func runRole(role string) int {
	// A write beyond the limit of file sizes is to fail, not to end us.
	signal.Ignore(syscall.SIGXFSZ)
	trail, err := Open(os.Getenv(childDir), &Options{KeyDir: os.Getenv(childKeys), Logger: quiet})
	if err == nil {
		fmt.Println("ready")
		err = errors.Join(roles[role](trail), trail.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

// childHold has the trail open until its input ends.
func childHold(*Trail) error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// childAppend reads numbers, records that many events in one commit, and answers
// with the size.
func childAppend(trail *Trail) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		size := int(trail.Size())
		if _, err := trail.RecordBatch(context.Background(), turns(size, size+n)); err != nil {
			return err
		}
		fmt.Println(trail.Size())
	}
	return lines.Err()
}

// childLoad records from many goroutines, until it is killed or recording fails,
// and prints the id of each event that was acknowledged.
func childLoad(trail *Trail) error {
	tag := os.Getenv(childTag)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for g := range errs {
		wg.Go(func() {
			for n := 0; errs[g] == nil; n++ {
				id := fmt.Sprintf("%s-%d-%d", tag, g, n)
				e := event.Event{ID: id, Type: event.TurnEnded, SessionID: "s", Details: map[string]any{"x": strings.Repeat("y", n%300)}}
				if _, errs[g] = trail.Record(context.Background(), e); errs[g] == nil {
					os.Stdout.WriteString(id + "\n") // one write, so lines stay whole
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if !errors.Is(err, ErrFailed) {
			return err
		}
	}
	fmt.Println("failed")
	return nil
}

// childLimited is childLoad with a limit of the size of files.
func childLimited(trail *Trail) error {
	const bytes = 300_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes}); err != nil {
		return err
	}
	return childLoad(trail)
}

// childBatches records batches of 1,000 until it is killed, and prints the number
// of each that was acknowledged.
func childBatches(trail *Trail) error {
	tag := os.Getenv(childTag)
	for n := 0; ; n++ {
		events := make([]event.Event, batchSize)
		for i := range events {
			events[i] = event.Event{ID: batchID(tag, n, i), Type: event.TurnEnded}
		}
		if _, err := trail.RecordBatch(context.Background(), events); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// childErase reads indices, erases the payload of each, and answers with the index of
// the event that tells of it.
func childErase(trail *Trail) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		entries, err := evidence.ParseRanges(lines.Text())
		if err != nil {
			return err
		}
		r, err := trail.Erase(context.Background(), Erasure{Entries: entries, Ground: "request", By: "dpo"})
		if err != nil {
			return err
		}
		fmt.Println(r.Events[0].Index)
	}
	return lines.Err()
}

const batchSize = 1000

func batchID(tag string, batch, i int) string { return fmt.Sprintf("%s-%d-%d", tag, batch, i) }

// child is another process.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// startChild starts a process that has the trail open for writing when this
// returns.
func startChild(t *testing.T, role, dir, keys, tag string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir, childKeys+"="+keys, childTag+"="+tag)
	cmd.Stderr = os.Stderr
	c := &child{cmd: cmd, stdin: get(cmd.StdinPipe())(t)}
	c.out = bufio.NewReader(get(cmd.StdoutPipe())(t))
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line := c.line(t); line != "ready" {
		t.Fatalf("the child said %q", line)
	}
	return c
}

// line returns the next line that the child prints.
func (c *child) line(t *testing.T) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	must(t, err)
	return strings.TrimSuffix(line, "\n")
}

// kill ends the child as kill -9 does, and returns the whole lines that it
// printed before.
func (c *child) kill(t *testing.T) []string {
	t.Helper()
	must(t, c.cmd.Process.Signal(syscall.SIGKILL))
	rest := get(io.ReadAll(c.out))(t)
	c.cmd.Wait()
	lines := strings.Split(string(rest), "\n")
	return lines[:len(lines)-1] // the last one has no end
}

// end lets the child end by itself.
func (c *child) end(t *testing.T) {
	t.Helper()
	must(t, c.stdin.Close())
	must(t, c.cmd.Wait())
}
