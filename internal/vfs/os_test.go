package vfs_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/custodylog/custody/internal/vfs"
)

// lockEnv makes the test binary hold the lock that it names.
const lockEnv = "VFS_TEST_HOLD_LOCK"

func TestMain(m *testing.M) {
	if name := os.Getenv(lockEnv); name != "" {
		holdLock(name)
		return
	}
	os.Exit(m.Run())
}

// holdLock takes a lock, says so, and keeps it until standard input ends.
func holdLock(name string) {
	lock, err := vfs.OS{}.Lock(name, holderText(os.Getpid()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("locked")
	io.Copy(io.Discard, os.Stdin)
	lock.Close()
}

func holderText(pid int) string { return fmt.Sprintf("process %d", pid) }

func TestLockAcrossProcesses(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(cmd *exec.Cmd, stdin io.Closer) error
	}{
		{"released when the holder closes it", func(cmd *exec.Cmd, stdin io.Closer) error {
			stdin.Close()
			return cmd.Wait()
		}},
		{"released when the holder is killed", func(cmd *exec.Cmd, _ io.Closer) error {
			if err := cmd.Process.Kill(); err != nil {
				return err
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) {
				return fmt.Errorf("the killed process ended with %v", err)
			}
			return nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "lock")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), lockEnv+"="+name)
			cmd.Stderr = os.Stderr
			stdin, err := cmd.StdinPipe()
			must(t, err)
			stdout, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			t.Cleanup(func() { cmd.Process.Kill() })
			said, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil || said != "locked\n" {
				t.Fatalf("the other process said %q, %v", said, err)
			}

			_, err = vfs.OS{}.Lock(name, "this process")
			var locked *vfs.LockedError
			if !errors.As(err, &locked) || locked.Name != name || locked.Holder != holderText(cmd.Process.Pid) {
				t.Errorf("Lock = %v, want a *LockedError that names %q", err, holderText(cmd.Process.Pid))
			}

			must(t, tc.end(cmd, stdin))
			lock, err := vfs.OS{}.Lock(name, "this process")
			must(t, err)
			wantContent(t, vfs.OS{}, name, "this process")
			must(t, lock.Close())
		})
	}
}
