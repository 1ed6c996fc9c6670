package server

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"
)

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"

	// maxWindow bounds the memory that a body of zstd asks for (RFC 9659).
	maxWindow = 8 << 20
)

// openBody puts a body that is decompressed, and bounded unless it is a stream, in the
// place of the request's.
func (s *Server) openBody(kind bodyKind, w http.ResponseWriter, r *http.Request) (done func(), err error) {
	done = func() {}
	if kind == noBody {
		return done, nil
	}
	if kind == grpcBody {
		r.Body = http.MaxBytesReader(w, r.Body, s.limits.Body+5) // one message and what is before it
		return done, nil
	}
	media := mediaType(r)
	stream := kind == eventsBody && isStream(r)
	if !stream && media != typeJSON && (kind != otlpBody || media != typeProtobuf) && (kind != eventsBody || !isCloudEvent(r)) {
		what := typeJSON
		switch kind {
		case eventsBody:
			what += " or " + typeNDJSON
		case otlpBody:
			what += " or " + typeProtobuf
		}
		return nil, newProblem(http.StatusUnsupportedMediaType, "media_type", "the body is of type %q; send %s, and say so with the header Content-Type", media, what)
	}
	from := &patient{r: r.Body, control: http.NewResponseController(w), slow: s.limits.Slow, stream: stream}
	body := io.Reader(from)
	switch coding := strings.ToLower(r.Header.Get("Content-Encoding")); coding {
	case "", "identity":
	case "gzip":
		body = &decoded{&lazyGzip{from: from}, from}
	case "zstd":
		z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		body, done = &decoded{z, from}, z.Close
	default:
		w.Header().Set("Accept-Encoding", "gzip, zstd") // RFC 7694
		return nil, newProblem(http.StatusUnsupportedMediaType, "content_encoding", "the body is encoded as %q; send it as it is, or as gzip or zstd", coding)
	}
	if r.Header.Get("Content-Encoding") != "" {
		r.ContentLength = -1 // was that of the encoded body
	}
	r.Header.Del("Content-Encoding")
	whole := io.NopCloser(body)
	if !stream {
		whole = http.MaxBytesReader(w, whole, s.limits.Body)
	}
	r.Body = whole
	return done, nil
}

// isStream reports whether a body is read as it comes.
func isStream(r *http.Request) bool { return mediaType(r) == typeNDJSON && !isCloudEvent(r) }

// mediaType returns the type of a request's body without its parameters.
func mediaType(r *http.Request) string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return r.Header.Get("Content-Type")
	}
	return media
}

// patient waits for each part of a stream as long as for a whole body.
type patient struct {
	r       io.Reader
	control *http.ResponseController
	slow    time.Duration
	stream  bool
	err     error // that ended it, other than io.EOF
}

func (p *patient) Read(b []byte) (int, error) {
	if p.stream {
		p.control.SetReadDeadline(time.Now().Add(p.slow))
	}
	n, err := p.r.Read(b)
	if err != nil && err != io.EOF {
		p.err = err
	}
	return n, err
}

// lazyGzip reads the header of the data when the data is read.
type lazyGzip struct {
	from io.Reader
	z    *gzip.Reader
}

func (l *lazyGzip) Read(b []byte) (int, error) {
	if l.z == nil {
		z, err := gzip.NewReader(l.from)
		if err != nil {
			return 0, err
		}
		l.z = z
	}
	return l.z.Read(b)
}

// decoded tells what is wrong with compressed data from what is wrong with the
// connection.
type decoded struct {
	r    io.Reader
	from *patient
}

func (d *decoded) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	switch {
	case err == nil || err == io.EOF:
	case d.from.err != nil:
		err = d.from.err
	default:
		err = newProblem(http.StatusBadRequest, "content_encoding", "the body is cut off, or not encoded as Content-Encoding says: %s", err)
	}
	return n, err
}

// compressible reports whether answers of a type are worth compressing. Streams are
// not: each part has to go out at once.
func compressible(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch media {
	case typeJSON, "application/problem+json", "application/openapi+json", "text/plain":
		return true
	}
	return false
}

const (
	// freeBody is how much of a body counts as nothing.
	freeBody = 64 << 10
	// bodiesRoom is how many bytes the larger bodies may have together. Who may send
	// one may send many at once, on one connection.
	bodiesRoom = 256 << 20
)

// readWhole reads a body that openBody has bounded. Where the bodies that are being
// answered have no room for it, it fails with custody.ErrFull. done gives its room back.
func (s *Server) readWhole(r *http.Request) (text []byte, done func(), err error) {
	announced := min(max(r.ContentLength, 0), freeBody)
	b := bytes.NewBuffer(make([]byte, 0, announced+bytes.MinRead))
	more := metered{r: r.Body, room: s.bodies}
	n, err := b.ReadFrom(io.LimitReader(r.Body, freeBody))
	if err == nil && n == freeBody {
		_, err = b.ReadFrom(&more)
	}
	if err != nil {
		more.release()
		return nil, nil, fmt.Errorf("reading the body: %w", err)
	}
	return b.Bytes(), more.release, nil
}

// metered takes room for what is read.
type metered struct {
	r     io.Reader
	room  *semaphore.Weighted
	taken int64
}

func (m *metered) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	if !m.room.TryAcquire(int64(n)) {
		return 0, custody.ErrFull
	}
	m.taken += int64(n)
	return n, err
}

// release gives back what was taken.
func (m *metered) release() { m.room.Release(m.taken) }
