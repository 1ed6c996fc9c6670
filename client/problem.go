package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// Problem is an error that the server answered with (RFC 9457). errors.Is finds the
// error of package custody that it stands for.
type Problem struct {
	Status int     `json:"status"`
	Code   string  `json:"code"` // what is wrong, for programs; docs/http.md lists them
	Title  string  `json:"title"`
	Detail string  `json:"detail"` // what is wrong and what to do about it
	Errors []Fault `json:"errors"`

	// RetryAfter is how long the server asks to wait before the request is made
	// again; 0: it does not.
	RetryAfter time.Duration `json:"-"`

	Size    int      `json:"size"`    // of an event that is too large
	Limit   int      `json:"limit"`   // of the same
	Holds   []string `json:"holds"`   // that are in the way
	Stops   []string `json:"stops"`   // emergency stops that are
	Entries string   `json:"entries"` // that they keep
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Location string `json:"location"` // such as body[3]/details/count
	Message  string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" && p.Status/100 == 3 {
		return fmt.Sprintf("the server answered %d %s, and redirects are not followed: give the address that it redirects to", p.Status, http.StatusText(p.Status))
	}
	if text == "" {
		text = "the server answered " + strings.TrimSpace(strconv.Itoa(p.Status)+" "+http.StatusText(p.Status))
	}
	return text
}

// maxProblem bounds the body of a problem in bytes.
const maxProblem = 1 << 20

// problemOf reads a problem from an answer. What answers need not be the server: a
// proxy has pages of its own.
func problemOf(resp *http.Response) *Problem {
	var p Problem
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == "application/problem+json" {
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
		if err != nil || json.Unmarshal(b, &p) != nil {
			p = Problem{}
		}
	}
	p.Status = resp.StatusCode
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return &p
}

// retryAfter reads the header of that name (RFC 9110 section 10.2.3): seconds, or a
// time. What is neither, is 0.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// temporary reports whether the same request may succeed later. nothing says that the
// server did nothing of it.
func (p *Problem) temporary() (again, nothing bool) {
	switch p.Code {
	case "full", "followers", "stopping", "unavailable":
		return true, true
	case "timeout", "disk_full", "failed", "read_only", "slow", "cut_off":
		return true, false
	case "":
		switch p.Status {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
			return true, false // a proxy that cannot reach the server
		}
	}
	return false, false
}

// Unwrap returns the error of package custody, or event, that the problem stands for.
func (p *Problem) Unwrap() error {
	switch p.Code {
	case "conflict":
		return custody.ErrConflict
	case "not_found":
		return custody.ErrNotFound
	case "erased":
		return custody.ErrErased
	case "pruned":
		return custody.ErrPruned
	case "full":
		return custody.ErrFull
	case "disk_full", "failed":
		return custody.ErrFailed
	case "read_only":
		return custody.ErrReadOnly
	case "stopping":
		return custody.ErrClosed
	case "altered":
		return custody.ErrAltered
	case "exists":
		return fs.ErrExist
	case "held":
		entries, err := evidence.ParseRanges(p.Entries)
		if err != nil || len(entries) == 0 {
			return nil
		}
		return &custody.HeldError{Holds: p.Holds, Stops: p.Stops, Entries: entries}
	case "too_large":
		if p.Limit > 0 {
			return &custody.PayloadSizeError{Size: p.Size, Limit: p.Limit}
		}
	case "invalid":
		return p.invalid()
	}
	return nil
}

// invalid returns what is wrong with an event, where it is one that is.
func (p *Problem) invalid() error {
	var problems []string
	for _, f := range p.Errors {
		at, ok := strings.CutPrefix(f.Location, "body")
		if !ok {
			return nil
		}
		if _, after, indexed := strings.Cut(at, "]"); indexed && strings.HasPrefix(at, "[") {
			at = after
		}
		if at != "" && at[0] != '/' {
			return nil // a member of another request
		}
		if len(p.Errors) == 1 {
			return &event.FieldError{Pointer: at, Problem: f.Message}
		}
		problems = append(problems, strings.TrimPrefix(strings.TrimPrefix(at, "/")+": "+f.Message, ": "))
	}
	if len(problems) == 0 {
		return nil
	}
	return &event.ValidationError{Problems: problems}
}

// position returns which event of an array the problem is about.
func (p *Problem) position() (int, bool) {
	if len(p.Errors) == 0 {
		return 0, false
	}
	rest, ok := strings.CutPrefix(p.Errors[0].Location, "body[")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, "]")
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), err == nil
}

// altered is the error of an answer that does not check out.
func altered(format string, args ...any) error {
	return fmt.Errorf("%w: the server's answer: %w", custody.ErrAltered, fmt.Errorf(format, args...))
}

// asProblem returns the problem that an error is of, or nil.
func asProblem(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}
