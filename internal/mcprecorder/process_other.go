//go:build !unix

package mcprecorder

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

func forwarded() []os.Signal { return []os.Signal{os.Interrupt} }

func forward(p *os.Process, sig os.Signal) { p.Signal(sig) } // where the system can

func exitOf(s *os.ProcessState) Exit { return Exit{Code: s.ExitCode()} }

// Mirror returns the exit status of the child.
func (e Exit) Mirror() int { return e.Code }
