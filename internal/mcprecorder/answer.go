package mcprecorder

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/mcp"
)

// maxWindow bounds the memory that an answer of zstd asks for (RFC 9659).
const maxWindow = 8 << 20

// tee has the copy of a body read as the body goes by.
type tee struct {
	io.ReadCloser
	to    copyReader
	ended func(error) // is told once when nothing more comes; nil where the end was reached
	once  sync.Once
}

func (t *tee) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	t.to.add(b[:n])
	if err == io.EOF {
		t.end(nil)
	} else if err != nil {
		t.end(err)
	}
	return n, err
}

func (t *tee) Close() error {
	t.end(io.ErrUnexpectedEOF)
	return t.ReadCloser.Close()
}

func (t *tee) end(err error) {
	t.once.Do(func() {
		t.to.end()
		t.ended(err)
	})
}

// copyReader reads the copy of a body.
type copyReader interface {
	add([]byte)
	end() // nothing more comes
}

type discard struct{}

func (discard) add([]byte) {}
func (discard) end()       {}

// bodyCollector hands over a body that is one message: as soon as it is there, where its
// length is known.
type bodyCollector struct {
	body   collector
	length int64 // 0 or less: not known
	take   func(ingest.Record)
}

func (c *bodyCollector) add(b []byte) {
	if c.body.add(b); c.body.size == c.length && len(b) > 0 {
		c.end()
	}
}

func (c *bodyCollector) end() {
	if rec := c.body.take(); rec.Size > 0 {
		c.take(rec)
	}
}

// eventSplitter hands over the data of server-sent events (HTML, section 9.2.6).
type eventSplitter struct {
	line  []byte // its beginning, as far as it is no data yet
	data  collector
	has   bool // a line of data came
	value bool // within the value of a line of data
	space bool // a space may come before it
	other bool // the event has a type that is no message
	cr    bool // the last byte was a carriage return
	later bool // the first line, before which there may be a byte order mark, has ended
	take  func(ingest.Record)
}

func newEventSplitter(take func(ingest.Record)) *eventSplitter {
	return &eventSplitter{data: collector{limit: MaxMessage}, take: take}
}

// maxField bounds a line that is not data.
const maxField = 4 << 10

func (s *eventSplitter) add(b []byte) {
	for len(b) > 0 {
		if s.cr && b[0] == '\n' {
			b = b[1:]
		}
		s.cr = false
		end := bytes.IndexAny(b, "\r\n")
		part := b
		if end >= 0 {
			part = b[:end]
		}
		s.addPart(part)
		if end < 0 {
			return
		}
		s.endLine()
		s.cr = b[end] == '\r'
		b = b[end+1:]
	}
}

// addPart takes in a part of a line.
func (s *eventSplitter) addPart(part []byte) {
	if !s.value {
		s.line = append(s.line, part...)
		if !s.later {
			s.line = bytes.TrimPrefix(s.line, []byte("\ufeff"))
		}
		value, ok := bytes.CutPrefix(s.line, []byte("data:"))
		if !ok {
			s.line = s.line[:min(len(s.line), maxField)]
			return
		}
		if s.has {
			s.data.add([]byte("\n"))
		}
		s.has, s.value, s.space, part = true, true, true, value
	}
	if s.space && len(part) > 0 {
		s.space = false
		part = bytes.TrimPrefix(part, []byte(" "))
	}
	s.data.add(part)
}

func (s *eventSplitter) endLine() {
	line, value := string(s.line), s.value
	s.line, s.value, s.space, s.later = s.line[:0], false, false, true
	switch {
	case value:
	case line == "":
		s.dispatch()
	case strings.HasPrefix(line, "event:"):
		s.other = strings.TrimPrefix(line[len("event:"):], " ") != "message"
	}
}

func (s *eventSplitter) dispatch() {
	rec := s.data.take()
	if s.has && !s.other && rec.Size > 0 {
		s.take(rec)
	}
	s.has, s.other = false, false
}

// end takes an event that was not ended if it is a whole message: some clients do, though
// the standard has them drop it.
func (s *eventSplitter) end() {
	rec := s.data.take()
	if s.has && !s.other && mcp.Parse(rec).Err() == nil {
		s.take(rec)
	}
}

// acceptReadable takes codings out of Accept-Encoding that decode does not read.
func acceptReadable(h http.Header) {
	values := h.Values("Accept-Encoding")
	if len(values) == 0 {
		return
	}
	all := strings.Split(strings.Join(values, ","), ",")
	kept := slices.DeleteFunc(slices.Clone(all), func(one string) bool {
		name, _, _ := strings.Cut(strings.ToLower(one), ";")
		switch strings.TrimSpace(name) {
		case "gzip", "zstd", "identity":
			return false
		}
		return true
	})
	switch len(kept) {
	case len(all):
	case 0:
		h.Set("Accept-Encoding", "identity")
	default:
		h.Set("Accept-Encoding", strings.TrimSpace(strings.Join(kept, ",")))
	}
}

// decode returns what reads the copy of a body that has a coding; nil: nothing does.
func decode(coding string, to copyReader) copyReader {
	var open func(io.Reader) (io.Reader, error)
	switch strings.ToLower(coding) {
	case "", "identity":
		return to
	case "gzip", "x-gzip":
		open = func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case "zstd":
		open = func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		}
	default:
		return nil
	}
	r, w := io.Pipe()
	d := &decoder{w: w, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		defer to.end()
		defer r.CloseWithError(io.ErrClosedPipe) // what cannot be read is not waited for
		plain, err := open(r)
		if err != nil {
			return
		}
		if z, ok := plain.(*zstd.Decoder); ok {
			defer z.Close()
		}
		buf := make([]byte, 32<<10)
		for {
			n, err := plain.Read(buf)
			to.add(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	return d
}

// decoder reads a copy that is compressed.
type decoder struct {
	w    *io.PipeWriter
	done chan struct{}
}

func (d *decoder) add(b []byte) { d.w.Write(b) } // an error means that it cannot be read

func (d *decoder) end() {
	d.w.Close()
	<-d.done
}
