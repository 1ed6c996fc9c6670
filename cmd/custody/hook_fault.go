package main

import (
	"fmt"
	"runtime/debug"
)

// caught runs f, and returns a panic in it as an error, after printing where it happened:
// an agent would take the exit status of a program that panics for a denial.
func (p *program) caught(f func()) (fault error) {
	defer func() {
		if v := recover(); v != nil {
			p.err.Printf("%s", debug.Stack())
			fault = fmt.Errorf("a fault in this program, which is worth reporting: %v", v)
		}
	}()
	f()
	return nil
}
