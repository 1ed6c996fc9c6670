package ingest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
)

// Record is one record of a source, as its bytes are.
type Record struct {
	// Text is the record without the line feed that ends it. It is valid
	// until the iteration goes on. Of a record that is longer than
	// [Source.MaxRecord] it is the beginning.
	Text []byte

	Line int   // on which the record begins, from 1
	Size int64 // in bytes; larger than len(Text) where that is only the beginning
	Sum  [sha256.Size]byte
}

// Whole reports whether Text is the whole record.
func (r *Record) Whole() bool { return r.Size == int64(len(r.Text)) }

// Framing says how the records of a format stand in a source. Each of them is a
// line, unless:
type Framing struct {
	// Arrays: the elements of a JSON array of objects are records too.
	Arrays bool

	// Wrapper is the member of an object whose array of records stands in for
	// the object, such as Records in {"Records":[…]}. Other members of the
	// object before the array are skipped, ones behind it are a record.
	Wrapper string
}

// Records splits a source into records. Empty lines, a byte order mark and
// carriage returns at the end of a line are skipped; the last line needs no end.
// An error says where reading stopped, and ends the iteration.
func Records(r io.Reader, src Source, f Framing) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s := &splitter{b: bufio.NewReaderSize(r, 64<<10), framing: f, line: 1, last: newCollector(src.maxRecord())}
		err := s.split(func(rec Record) bool { return yield(rec, nil) })
		if err != nil && !errors.Is(err, errStop) {
			yield(Record{}, fmt.Errorf("%s: line %d: %w", src.name(), s.line, err))
		}
	}
}

var errStop = errors.New("the iteration was ended")

var errUTF16 = errors.New("the text is UTF-16; convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)")

// splitter is the state of [Records].
type splitter struct {
	b       *bufio.Reader
	framing Framing
	line    int // of the next byte
	last    *collector
}

func (s *splitter) split(yield func(Record) bool) error {
	if err := s.byteOrderMark(); err != nil {
		return err
	}
	closing := false // an object that wraps records was not closed yet
	for {
		c, err := s.skip(" \t\r\n")
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if closing && c == '}' {
			closing = false
			s.b.Discard(1)
			continue
		}
		closing = false
		opening, err := s.opening(c)
		if err != nil {
			return err
		}
		if opening > 0 {
			closing = c == '{'
			if err := s.elements(opening, yield); err != nil {
				return err
			}
			continue
		}
		rec, err := s.readLine()
		if err != nil {
			return err
		}
		if !yield(rec) {
			return errStop
		}
	}
}

func (s *splitter) byteOrderMark() error {
	head, err := s.b.Peek(3)
	if err != nil && err != io.EOF {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		s.b.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return errUTF16
	}
	return nil
}

// skip consumes bytes that are in set, and returns the next one unread.
func (s *splitter) skip(set string) (byte, error) {
	for {
		c, err := s.b.ReadByte()
		if err != nil {
			return 0, err
		}
		if bytes.IndexByte([]byte(set), c) < 0 {
			return c, s.b.UnreadByte()
		}
		if c == '\n' {
			s.line++
		}
	}
}

// opening returns the length of the text that opens an array of records, if
// that is what comes next, and 0 otherwise. c is the next byte.
func (s *splitter) opening(c byte) (int, error) {
	var open func([]byte) (int, bool)
	switch {
	case c == '[' && s.framing.Arrays:
		open = openArray
	case c == '{' && s.framing.Wrapper != "":
		open = func(b []byte) (int, bool) { return openWrapper(b, s.framing.Wrapper) }
	default:
		return 0, nil
	}
	// Look no further than it takes, so that a source that is still being
	// written is not waited for.
	const window = 4 << 10
	for size := 1; ; size = min(s.b.Buffered()+1, window) {
		b, err := s.b.Peek(size)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if err == nil {
			b, _ = s.b.Peek(min(s.b.Buffered(), window))
		}
		n, more := open(b)
		if !more || err == io.EOF || len(b) == window {
			return n, nil
		}
	}
}

// openArray returns 1 if b begins an array that is empty or whose first element
// is an object, and 0 if not. more is set where b is too short to tell.
func openArray(b []byte) (n int, more bool) {
	rest := bytes.TrimLeft(b[1:], " \t\r\n")
	if len(rest) == 0 {
		return 0, true
	}
	if rest[0] == '{' || rest[0] == ']' {
		return 1, false
	}
	return 0, false
}

// openWrapper returns how far it is into the array under the given name in the
// object that b begins, or 0. more is set where b is too short to tell.
func openWrapper(b []byte, name string) (n int, more bool) {
	i := 1
	space := func() {
		for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
			i++
		}
	}
	for {
		space()
		if i == len(b) {
			return 0, true
		}
		if b[i] != '"' {
			return 0, false
		}
		var f frame
		end, done := f.next(b[i:])
		if !done {
			return 0, true
		}
		found := string(b[i:i+end]) == `"`+name+`"`
		i += end
		space()
		if i == len(b) {
			return 0, true
		}
		if b[i] != ':' {
			return 0, false
		}
		i++
		space()
		if i == len(b) {
			return 0, true
		}
		if found {
			if b[i] == '[' {
				return i + 1, false
			}
			return 0, false
		}
		f = frame{}
		end, done = f.next(b[i:])
		if !done {
			return 0, true
		}
		i += end
		space()
		if i == len(b) {
			return 0, true
		}
		if b[i] != ',' {
			return 0, false
		}
		i++
	}
}

// elements yields the elements of the array that the next opening bytes open.
func (s *splitter) elements(opening int, yield func(Record) bool) error {
	start := s.line
	head, err := s.b.Peek(opening)
	if err != nil {
		return err
	}
	s.line += bytes.Count(head, []byte("\n"))
	s.b.Discard(opening)
	for {
		c, err := s.skip(" \t\r\n,")
		if err == io.EOF {
			return fmt.Errorf("the array of records that begins on line %d never ends: the source was cut off, or brackets do not match; what came before is whole", start)
		} else if err != nil {
			return err
		}
		if c == ']' {
			s.b.Discard(1)
			return nil
		}
		rec, err := s.readValue()
		if err != nil {
			return err
		}
		if !yield(rec) {
			return errStop
		}
	}
}

// readLine reads up to the end of the line.
func (s *splitter) readLine() (Record, error) {
	at := s.line
	s.last.reset()
	for {
		b, err := s.b.ReadSlice('\n')
		if err == nil {
			s.line++
			b = b[:len(b)-1]
		}
		s.last.add(b)
		switch err {
		case nil, io.EOF:
			s.last.dropCR()
			return s.last.record(at), nil
		case bufio.ErrBufferFull:
		default:
			return Record{}, err
		}
	}
}

// readValue reads one element of an array. It only looks at brackets and
// quotes; a line feed inside a string, which JSON does not allow, ends it.
func (s *splitter) readValue() (Record, error) {
	at := s.line
	s.last.reset()
	var f frame
	for {
		if _, err := s.b.Peek(1); err == io.EOF {
			return s.last.record(at), nil // cut off: elements says so next
		} else if err != nil {
			return Record{}, err
		}
		b, _ := s.b.Peek(s.b.Buffered())
		n, done := f.next(b)
		s.last.add(b[:n])
		s.line += bytes.Count(b[:n], []byte("\n"))
		s.b.Discard(n)
		if done {
			return s.last.record(at), nil
		}
	}
}

// frame finds the end of a JSON value. The zero value is before its first byte.
type frame struct {
	begun    bool
	depth    int // of brackets
	inString bool
	escaped  bool // the next byte of the string stands for itself
}

// next returns how many bytes of b belong to the value, and whether it ends
// with them. Outside of brackets and quotes a value ends before ',', ']', '}' or
// a line feed, but has at least one byte.
func (f *frame) next(b []byte) (n int, done bool) {
	for i, c := range b {
		first := !f.begun
		f.begun = true
		if f.inString {
			switch {
			case c == '\n':
				return i, true
			case f.escaped:
				f.escaped = false
			case c == '\\':
				f.escaped = true
			case c == '"':
				if f.inString = false; f.depth == 0 {
					return i + 1, true
				}
			}
			continue
		}
		switch c {
		case '"':
			f.inString = true
		case '{', '[':
			f.depth++
		case '}', ']':
			if f.depth > 0 {
				if f.depth--; f.depth == 0 {
					return i + 1, true
				}
			} else if !first {
				return i, true
			}
		case ',', '\n':
			if f.depth == 0 && !first {
				return i, true
			}
		}
	}
	return len(b), false
}

// collector gathers the bytes of a record, up to a limit, and hashes the rest.
type collector struct {
	limit int
	text  []byte
	size  int64
	hash  hash.Hash // of everything, once there is more than the limit
}

// keepBeginning is how much is kept of a record that is too long.
const keepBeginning = 64 << 10

func newCollector(limit int) *collector { return &collector{limit: limit} }

func (c *collector) reset() {
	c.text, c.size, c.hash = c.text[:0], 0, nil
}

func (c *collector) add(b []byte) {
	c.size += int64(len(b))
	if c.hash != nil {
		c.hash.Write(b)
		return
	}
	if c.size <= int64(c.limit) {
		c.text = append(c.text, b...)
		return
	}
	c.hash = sha256.New()
	c.hash.Write(c.text)
	c.hash.Write(b)
	c.text = append(c.text, b...)
	c.text = wholeRunes(c.text, min(keepBeginning, c.limit))
}

// dropCR drops the carriage return of a line ending, if the line is kept whole.
func (c *collector) dropCR() {
	if n := len(c.text); c.hash == nil && n > 0 && c.text[n-1] == '\r' {
		c.text = c.text[:n-1]
		c.size--
	}
}

func (c *collector) record(line int) Record {
	r := Record{Text: c.text, Line: line, Size: c.size}
	if c.hash != nil {
		c.hash.Sum(r.Sum[:0])
	} else {
		r.Sum = sha256.Sum256(c.text)
	}
	return r
}
