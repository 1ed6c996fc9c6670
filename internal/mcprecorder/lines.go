package mcprecorder

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"sync"

	"github.com/custodylog/custody/ingest"
)

// beginning is how many bytes are kept of a message that is too long.
const beginning = 64 << 10

// piece is a part of what a client sends.
type piece struct {
	text []byte // as it came, with its line feed
	kind pieceKind
}

type pieceKind int

const (
	whole pieceKind = iota // a line; only the last one may lack the line feed
	first                  // MaxMessage bytes of a line that is longer
	more                   // of such a line
)

// lineReader reads lines, each as a whole, so that it can be refused.
type lineReader struct {
	r     *bufio.Reader
	limit int
	long  bool // within a line that is too long
	buf   []byte
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), limit: MaxMessage}
}

// next returns the next piece, which is valid until the next call. With an error there
// may be a last piece.
func (l *lineReader) next() (piece, error) {
	if cap(l.buf) > 1<<20 {
		l.buf = nil // one long line does not take memory for ever
	}
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			err = nil
		}
		ended := bytes.HasSuffix(part, []byte("\n"))
		if l.long {
			l.long = !ended
			return piece{part, more}, err
		}
		l.buf = append(l.buf, part...)
		switch {
		case err != nil, ended:
			return piece{l.buf, whole}, err
		case len(l.buf) >= l.limit:
			l.long = true
			return piece{l.buf, first}, nil
		}
	}
}

// record returns the piece as a record.
func (p *piece) record() ingest.Record {
	text := p.text
	if p.kind == whole {
		text = bytes.TrimRight(text, "\r\n")
		return recordOf(text)
	}
	return ingest.Record{Text: text[:min(beginning, len(text)-1)], Size: int64(len(text)), Sum: sha256.Sum256(text)}
}

// recordOf returns a message that is there as a whole as a record.
func recordOf(text []byte) ingest.Record {
	return ingest.Record{Text: text, Size: int64(len(text)), Sum: sha256.Sum256(text)}
}

// collector gathers the bytes of one message of a server, up to a limit, and hashes the
// rest.
type collector struct {
	limit int
	text  []byte
	size  int64
	hash  hash.Hash // of everything, once there is more than the limit
}

func (c *collector) add(b []byte) {
	c.size += int64(len(b))
	switch {
	case c.hash != nil:
		c.hash.Write(b)
	case c.size <= int64(c.limit):
		c.text = append(c.text, b...)
	default:
		c.hash = sha256.New()
		c.hash.Write(c.text)
		c.hash.Write(b)
		c.text = append([]byte(nil), append(c.text, b...)[:min(beginning, c.limit)]...)
	}
}

// take returns what was gathered, and begins anew.
func (c *collector) take() ingest.Record {
	rec := ingest.Record{Text: c.text, Size: c.size}
	if c.hash != nil {
		c.hash.Sum(rec.Sum[:0])
	} else {
		rec.Sum = sha256.Sum256(c.text)
	}
	c.text, c.size, c.hash = nil, 0, nil
	return rec
}

// lineSplitter hands over the lines of a server's output.
type lineSplitter struct {
	line collector
	take func(ingest.Record)
}

func newLineSplitter(take func(ingest.Record)) *lineSplitter {
	return &lineSplitter{collector{limit: MaxMessage}, take}
}

func (s *lineSplitter) add(b []byte) {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			s.line.add(b)
			return
		}
		s.line.add(b[:i])
		s.end()
		b = b[i+1:]
	}
}

// end ends the line.
func (s *lineSplitter) end() {
	rec := s.line.take()
	if len(bytes.TrimSpace(rec.Text)) > 0 || !rec.Whole() {
		s.take(rec)
	}
}

// answerWriter writes the output of a server, and puts lines of its own between those of
// the server. Its methods may be called from several goroutines.
type answerWriter struct {
	mu      sync.Mutex
	w       io.Writer // guarded by mu
	within  bool      // a line of the server has begun
	pending []byte    // lines that wait for its end
}

// Write writes output of the server.
func (a *answerWriter) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	if i := bytes.IndexByte(b, '\n'); i >= 0 && len(a.pending) > 0 {
		if _, err := a.w.Write(b[:i+1]); err != nil {
			return 0, err
		}
		n = i + 1
		a.within = false
		if err := a.flush(); err != nil {
			return n, err
		}
	}
	if n == len(b) {
		return n, nil
	}
	a.within = b[len(b)-1] != '\n'
	written, err := a.w.Write(b[n:])
	return n + written, err
}

// answer writes a line of the recorder.
func (a *answerWriter) answer(line []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = append(append(a.pending, line...), '\n')
	if a.within {
		return nil
	}
	return a.flush()
}

// end says that the server writes nothing more.
func (a *answerWriter) end() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) > 0 && a.within {
		a.pending = append([]byte{'\n'}, a.pending...)
	}
	a.within = false
	return a.flush()
}

// flush writes what waits. The caller holds mu.
func (a *answerWriter) flush() error {
	if len(a.pending) == 0 {
		return nil
	}
	_, err := a.w.Write(a.pending)
	a.pending = nil
	return err
}
