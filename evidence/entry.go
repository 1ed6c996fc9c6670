package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 hash as RFC 6962 uses it. Its String method gives base64.
type Hash = tlog.Hash

const (
	// MaxEntrySize is the largest entry that fits an entry bundle of C2SP
	// tlog-tiles, whose length prefix has 16 bits.
	MaxEntrySize = 1<<16 - 1

	// MaxTypeLen is the longest event type in bytes.
	MaxTypeLen = 128

	// MaxIndex is the largest index: the largest integer that every JSON
	// reader holds exactly (RFC 7493 section 2.2).
	MaxIndex = 1<<53 - 1

	// TimeLayout is how an entry and a payload write a time: RFC 3339 in
	// UTC with exactly six fractional digits.
	TimeLayout = "2006-01-02T15:04:05.000000Z"

	entryVersion = 1
)

// Entry is the envelope that is committed at an index of a trail. It holds
// nothing that identifies a person; what happened is in the payload, to which
// Payload commits.
type Entry struct {
	Index   uint64
	Payload Hash      // [Commit] of the payload
	Prev    Hash      // leaf hash of the entry before; zero at index 0
	Time    time.Time // set by the trail: UTC, whole microseconds, never less than the one before
	Type    string    // event type: a lower-case letter, then letters, digits, '_', '.' or '-'
}

// AppendEntry appends the canonical bytes of e to dst.
//
//	{"index":41,"payload":"<base64>","prev":"<base64>","time":"<RFC 3339>","type":"action_denied","v":1}
//
// The caller vouches for e.Index <= [MaxIndex], for a year from 0 to 9999 and
// for a valid e.Type ([ValidType]).
func AppendEntry(dst []byte, e *Entry) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendUint(dst, e.Index, 10)
	dst = append(dst, `,"payload":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, e.Payload[:])
	dst = append(dst, `","prev":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, e.Prev[:])
	dst = append(dst, `","time":"`...)
	dst = AppendTime(dst, e.Time)
	dst = append(dst, `","type":"`...)
	dst = append(dst, e.Type...)
	return append(dst, `","v":1}`...)
}

// AppendTime appends t in [TimeLayout]. Digits below a microsecond are cut off.
// The year must be one that RFC 3339 can write, from 0 to 9999.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, sec := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, int(month), 2)
	dst = append(dst, '-')
	dst = appendDigits(dst, day, 2)
	dst = append(dst, 'T')
	dst = appendDigits(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, minute, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, sec, 2)
	dst = append(dst, '.')
	dst = appendDigits(dst, t.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

func appendDigits(dst []byte, v, width int) []byte {
	n := len(dst)
	dst = append(dst, "000000"[:width]...)
	for i := n + width - 1; i >= n; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// ParseTime reads a time in [TimeLayout] and refuses every other form.
func ParseTime(s []byte) (time.Time, error) {
	const form = "dddd-dd-ddTdd:dd:dd.ddddddZ"
	if len(s) != len(form) {
		return time.Time{}, fmt.Errorf("time %.40q is not of the form %s", s, TimeLayout)
	}
	for i := range form {
		if digit := s[i] >= '0' && s[i] <= '9'; form[i] == 'd' && !digit || form[i] != 'd' && s[i] != form[i] {
			return time.Time{}, fmt.Errorf("time %.40q is not of the form %s", s, TimeLayout)
		}
	}
	num := func(from, to int) (n int) {
		for _, c := range s[from:to] {
			n = n*10 + int(c-'0')
		}
		return n
	}
	t := time.Date(num(0, 4), time.Month(num(5, 7)), num(8, 10), num(11, 13), num(14, 16), num(17, 19), num(20, 26)*1000, time.UTC)
	// time.Date rolls 31 February over; a date that exists comes back as written.
	var buf [len(form)]byte
	if !bytes.Equal(AppendTime(buf[:0], t), s) {
		return time.Time{}, fmt.Errorf("time %q does not exist", s)
	}
	return t, nil
}

// ValidType reports whether s can be the type of an entry: one to [MaxTypeLen]
// bytes, a lower-case letter first, then lower-case letters, digits, '_', '.'
// and '-'.
func ValidType[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > MaxTypeLen || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

// ErrEntryVersion is wrapped by [ParseEntry] when the entry was written by a
// newer version of the format: it is not damaged, this program is too old.
var ErrEntryVersion = errors.New("entry has a newer format version than this program reads")

// newerVersion returns the version of an entry that says it is newer than this
// program, or 0. Whatever else a later version changes, an entry stays a JSON
// object whose last member is "v".
func newerVersion(b []byte) uint64 {
	const member = `,"v":`
	at := bytes.LastIndex(b, []byte(member))
	if at < 0 || b[0] != '{' {
		return 0
	}
	p := entryParser{rest: b[at+len(member):]}
	v := p.uint()
	p.literal(`}`)
	if p.err != "" || len(p.rest) > 0 || v <= entryVersion {
		return 0
	}
	return v
}

// ParseEntry reads the canonical bytes of an entry. It accepts exactly what
// [AppendEntry] writes: other white space, order or members are an error, so
// that one entry has one encoding.
func ParseEntry(b []byte) (Entry, error) {
	var e Entry
	if len(b) > MaxEntrySize {
		return e, fmt.Errorf("entry has %d bytes, more than %d", len(b), MaxEntrySize)
	}
	p := entryParser{rest: b}
	p.literal(`{"index":`)
	e.Index = p.uint()
	p.literal(`,"payload":"`)
	e.Payload = p.hash()
	p.literal(`","prev":"`)
	e.Prev = p.hash()
	p.literal(`","time":"`)
	at := p.take(len(TimeLayout))
	p.literal(`","type":"`)
	typ := p.until('"')
	p.literal(`","v":`)
	version := p.uint()
	p.literal(`}`)
	if p.err == "" && len(p.rest) > 0 {
		p.fail("bytes after the end")
	}
	if p.err == "" && version != entryVersion {
		p.fail("expected version 1")
	}
	if p.err != "" {
		if v := newerVersion(b); v > 0 {
			return e, fmt.Errorf("%w: version %d, this program reads %d", ErrEntryVersion, v, entryVersion)
		}
		return e, fmt.Errorf("entry is not in canonical form at byte %d: %s", len(b)-len(p.rest), p.err)
	}
	if !ValidType(typ) {
		return e, fmt.Errorf("entry has the type %.40q, which is not a type name", typ)
	}
	t, err := ParseTime(at)
	if err != nil {
		return e, fmt.Errorf("entry: %w", err)
	}
	e.Type, e.Time = string(typ), t
	return e, nil
}

// entryParser walks over an entry. After the first failure every call is a
// no-op and err says what was expected.
type entryParser struct {
	rest []byte
	err  string
}

func (p *entryParser) fail(why string) {
	if p.err == "" {
		p.err = why
	}
}

func (p *entryParser) literal(s string) {
	if p.err != "" {
		return
	}
	if len(p.rest) < len(s) || string(p.rest[:len(s)]) != s {
		p.fail("expected " + s)
		return
	}
	p.rest = p.rest[len(s):]
}

func (p *entryParser) take(n int) []byte {
	if p.err != "" || len(p.rest) < n {
		p.fail("cut short")
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *entryParser) until(end byte) []byte {
	n := bytes.IndexByte(p.rest, end)
	if n < 0 {
		p.fail("cut short")
		return nil
	}
	return p.take(n)
}

// uint reads a decimal number without sign or leading zero, up to MaxIndex.
func (p *entryParser) uint() (v uint64) {
	n := 0
	for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
		if v = v*10 + uint64(p.rest[n]-'0'); v > MaxIndex {
			p.fail("number too large")
			return 0
		}
		n++
	}
	if n == 0 || n > 1 && p.rest[0] == '0' {
		p.fail("expected a number")
		return 0
	}
	p.take(n)
	return v
}

func (p *entryParser) hash() (h Hash) {
	b := p.take(hashText)
	if p.err != "" {
		return h
	}
	if err := decodeHash(&h, b); err != nil {
		p.fail(err.Error())
	}
	return h
}

// hashText is the length of a hash in base64.
const hashText = 44

var (
	strictBase64 = base64.StdEncoding.Strict()
	errHashText  = errors.New("not the base64 of a hash")
)

// decodeHash reads standard padded base64 and refuses a second spelling of the
// same hash: stray trailing bits, and line breaks, which the decoder passes over
// so that too few bytes come out.
func decodeHash(h *Hash, b []byte) error {
	var raw [33]byte
	if len(b) != hashText {
		return errHashText
	}
	if n, err := strictBase64.Decode(raw[:], b); err != nil || n != len(h) {
		return errHashText
	}
	copy(h[:], raw[:])
	return nil
}

// LeafHash is the RFC 6962 section 2.1 leaf hash of an entry's bytes, which is
// the hash of the event: SHA-256(0x00 || entry).
func LeafHash(entry []byte) Hash {
	var buf [512]byte
	if len(entry) < len(buf) {
		buf[0] = 0
		return sha256.Sum256(buf[:1+copy(buf[1:], entry)])
	}
	return tlog.RecordHash(entry)
}

// NodeHash is the RFC 6962 section 2.1 hash of an inner node:
// SHA-256(0x01 || left || right).
func NodeHash(left, right Hash) Hash {
	var buf [65]byte
	buf[0] = 1
	copy(buf[1:], left[:])
	copy(buf[33:], right[:])
	return sha256.Sum256(buf[:])
}
