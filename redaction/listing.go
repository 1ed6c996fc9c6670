package redaction

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/custodylog/custody/event"
)

// Limits of Redactions, so that many secrets under long names do not outgrow
// the payload. What is redacted beyond is not listed one by one.
const (
	maxListed  = 64 << 10 // bytes, about, that the list takes
	maxPointer = 1 << 10  // bytes of the names and indices in a pointer
)

// listing collects the redactions of one event. Which of them it keeps does not
// depend on the order in which they are found, since that of maps is random.
type listing struct {
	all      []event.Redaction
	bytes    int
	unlisted bool
}

func (l *listing) add(r event.Redaction) {
	l.all = append(l.all, r)
	if l.bytes += listed(r); l.bytes > 2*maxListed {
		l.cut()
	}
}

// only makes r the one redaction.
func (l *listing) only(r event.Redaction) {
	*l = listing{}
	l.add(r)
}

// listed is about what a redaction takes in the payload.
func listed(r event.Redaction) int {
	return len(`{"method":"","pointer":"","rule":""},`) + len(r.Pointer) + len(r.Rule) + len(r.Method)
}

// cut sorts the redactions by place and drops what is beyond maxListed.
func (l *listing) cut() {
	slices.SortFunc(l.all, func(a, b event.Redaction) int {
		return cmp.Or(strings.Compare(a.Pointer, b.Pointer), strings.Compare(a.Rule, b.Rule))
	})
	l.bytes = 0
	for i, r := range l.all {
		n := listed(r)
		if l.bytes+n > maxListed {
			clear(l.all[i:])
			l.all, l.unlisted = l.all[:i], true
			return
		}
		l.bytes += n
	}
}

// list returns the redactions, sorted by place.
func (l *listing) list() []event.Redaction {
	l.cut()
	if l.unlisted {
		return append(l.all, event.Redaction{Pointer: "/details", Rule: ruleUnlisted, Method: string(MethodMask)})
	}
	return l.all
}

// place is where a value stands: a chain up to the details, of which nil is the
// end, or up to the event.
type place struct {
	in    *place
	name  string // of the member, or
	index int    // in the list; negative for a member
}

// wholeEvent is the end of the chain of what stands beside the details.
var wholeEvent place

// len is the length of all names and indices, about.
func (p *place) len() (n int) {
	for ; p != nil; p = p.in {
		n += 1 + len(p.name)
	}
	return n
}

// pointer returns the JSON Pointer (RFC 6901) of the place in the payload.
// Inside a string that is JSON it goes on as if that stood there itself.
func (p *place) pointer() string {
	return strings.ToValidUTF8(string(p.append(nil)), "\uFFFD")
}

func (p *place) append(dst []byte) []byte {
	switch p {
	case nil:
		return append(dst, "/details"...)
	case &wholeEvent:
		return dst
	}
	dst = append(p.in.append(dst), '/')
	if p.index >= 0 {
		return strconv.AppendInt(dst, int64(p.index), 10)
	}
	for i := 0; i < len(p.name); i++ {
		switch c := p.name[i]; c {
		case '~':
			dst = append(dst, '~', '0')
		case '/':
			dst = append(dst, '~', '1')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
