//go:build unix

package mcprecorder

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// ownGroup puts a child in a process group of its own, so that it gets a signal of the
// terminal once, from us.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// forwarded returns the signals that are forwarded to the child. SIGPIPE is among those
// that are caught, since it would end the recorder before it has recorded why.
func forwarded() []os.Signal {
	var all []os.Signal
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE} {
		if !signal.Ignored(sig) {
			all = append(all, sig)
		}
	}
	return all
}

// forward sends a signal to the child and what it started.
func forward(p *os.Process, sig os.Signal) {
	if sig == syscall.SIGPIPE {
		return // our own
	}
	syscall.Kill(-p.Pid, sig.(syscall.Signal)) // an error means that it has ended
}

func exitOf(s *os.ProcessState) Exit {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return Exit{Code: -1, Signal: status.Signal()}
	}
	return Exit{Code: s.ExitCode()}
}

// Mirror ends the process as the child ended, if a signal did: it returns only where it
// does not, with the status that shells give such a child.
func (e Exit) Mirror() int {
	sig, ok := e.Signal.(syscall.Signal)
	if !ok {
		return e.Code
	}
	switch sig {
	case syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2:
		signal.Reset(sig)
		syscall.Kill(os.Getpid(), sig)
		// It arrives before, unless it is ignored, as by process 1 of a container.
		<-time.After(time.Second)
	}
	return 128 + int(sig) // of others the runtime would write a report
}
