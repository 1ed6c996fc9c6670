package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// child is a server in a process of its own.
type child struct {
	cmd *exec.Cmd
	url string
}

// startServer starts custody serve without configuration.
func startServer(ctx context.Context, program, data string) (*child, error) {
	return startChild(ctx, program, "serve", "--data", data, "--listen", "127.0.0.1:0", "--origin", "benchmark.invalid")
}

// startBare starts this program as the handler that only reads bodies.
func startBare(ctx context.Context) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startChild(ctx, self, "-bare")
}

// startChild starts a program that prints "listening" and its address.
func startChild(ctx context.Context, program string, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, program, args...)}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name == "listening" {
			c.url = strings.TrimSpace(value)
			go io.Copy(io.Discard, out)
			return c, nil
		}
	}
	c.stop()
	return nil, fmt.Errorf("%s does not say where it listens", program)
}

// stop ends the process and waits for it.
func (c *child) stop() {
	c.cmd.Process.Signal(syscall.SIGTERM)
	c.cmd.Wait()
}

// serveBare answers every request once its body is read.
func serveBare(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening http://" + l.Addr().String())
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, "{}\n")
		}
	})}
	context.AfterFunc(ctx, func() { s.Close() })
	return s.Serve(l)
}
