package mcprecorder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/mcp"
)

// drain is how long output is waited for that nobody writes, once the child has ended:
// a process that it started may hold the pipe open.
const drain = time.Second

// Pipes are what a client holds the other ends of.
type Pipes struct {
	In  io.ReadCloser
	Out io.WriteCloser
	Err *os.File // is handed to the child as it is
}

// Exit is how a child ended.
type Exit struct {
	Code   int       // its exit status; -1: a signal ended it
	Signal os.Signal // that ended it, or nil
}

// RunCommand starts a server as a child process and forwards what it and the client say
// to each other, until the child has ended. The signals that the process gets are
// forwarded to the child; neither ctx nor its end matters to it. An error says that the
// child could not be started.
func (r *Recorder) RunCommand(ctx context.Context, command []string, p Pipes) (Exit, error) {
	ctx = context.WithoutCancel(ctx)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = p.Err
	ownGroup(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return Exit{}, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return Exit{}, err
	}
	cmd.Stdout = childOut
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded()...)
	defer signal.Stop(signals)
	err = cmd.Start()
	childOut.Close()
	if err != nil {
		out.Close()
		r.queue.put(one(r.server.Failed(err.Error())))
		return Exit{}, fmt.Errorf("the server is not started: %w", err)
	}
	s := &stdio{r: r, conn: r.server.Connect(), client: p, toChild: in, fromChild: out, answers: answerWriter{w: p.Out}}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-signals:
				forward(cmd.Process, sig)
			case <-ended:
				return
			}
		}
	}()
	go s.toServer(ctx)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.toClient()
	}()
	cmd.Wait() // how it ended is in its state
	close(ended)
	s.ended.Store(true)
	out.SetReadDeadline(time.Now().Add(drain))
	<-drained
	exit := exitOf(cmd.ProcessState)
	if exit.Code != 0 && !s.clientGone.Load() {
		r.queue.put(one(r.server.Failed("the server ended: " + cmd.ProcessState.String())))
	}
	r.queue.put(s.conn.Close("the server ended: " + cmd.ProcessState.String()))
	return exit, nil
}

// stdio is a connection over pipes.
type stdio struct {
	r         *Recorder
	conn      *mcp.Conn
	client    Pipes
	toChild   io.WriteCloser
	fromChild *os.File
	answers   answerWriter

	clientGone atomic.Bool // it says nothing more
	ended      atomic.Bool // the child has
}

// toServer forwards what the client says, line by line, until it says nothing more or
// the child does not listen.
func (s *stdio) toServer(ctx context.Context) {
	lines := newLineReader(s.client.In)
	var m *mcp.Message // the line of which a piece is at hand; nil: it is empty
	refused := false
	for {
		p, err := lines.next()
		if p.kind != more {
			m, refused = s.take(ctx, &p)
		}
		if len(p.text) > 0 && !refused {
			if _, werr := s.toChild.Write(p.text); werr != nil {
				if m != nil {
					s.r.queue.put(s.conn.Lost(m, "the server does not listen any more: "+werr.Error()))
				}
				s.client.In.Close() // so that the client finds out as well
				return
			}
		}
		if err != nil {
			s.clientGone.Store(true)
			s.toChild.Close()
			return
		}
	}
}

// take has a line of the client recorded, and reports whether it is refused. An empty one
// is no message.
func (s *stdio) take(ctx context.Context, p *piece) (m *mcp.Message, refused bool) {
	rec := p.record()
	if len(bytes.TrimSpace(rec.Text)) == 0 && rec.Whole() {
		return nil, false
	}
	m = mcp.Parse(rec)
	reason := s.r.admit(ctx, s.conn, m)
	if reason == "" {
		return m, false
	}
	if answer := m.Refuse(reason); answer != nil {
		s.answers.answer(answer) // an error means that nobody reads it, which toClient notices
	}
	return m, true
}

// toClient forwards the output of the child as it comes, until it ends or nobody reads
// it.
func (s *stdio) toClient() {
	lines := newLineSplitter(func(rec ingest.Record) {
		s.r.queue.put(s.conn.FromServer(mcp.Parse(rec)))
	})
	buf := make([]byte, 64<<10)
	for {
		if s.ended.Load() {
			s.fromChild.SetReadDeadline(time.Now().Add(drain))
		}
		n, err := s.fromChild.Read(buf)
		if n > 0 {
			lines.add(buf[:n]) // before the client can go on, so that the order is the one that it sees
			if _, werr := s.answers.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			break
		}
	}
	lines.end()
	s.answers.end()
	s.client.Out.Close()
	s.fromChild.Close()
}
