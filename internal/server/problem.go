package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"github.com/danielgtaylor/huma/v2"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/trails"
)

// Problem is what every error is answered with (RFC 9457, application/problem+json).
type Problem struct {
	Title  string  `json:"title" doc:"The status in words"`
	Status int     `json:"status" doc:"HTTP status"`
	Code   string  `json:"code" doc:"What is wrong, for programs; docs/http.md lists them"`
	Detail string  `json:"detail" doc:"What is wrong and what to do about it, for people"`
	Errors []Fault `json:"errors,omitempty" doc:"Every single thing that is wrong with the request"`

	// What a program may want to know of one code.
	Size    int      `json:"size,omitempty" doc:"Of too_large, where one event is: how many bytes it has as canonical JSON"`
	Limit   int      `json:"limit,omitempty" doc:"Of the same: how many it may have"`
	Holds   []string `json:"holds,omitempty" doc:"Of held: the ids of the holds"`
	Stops   []string `json:"stops,omitempty" doc:"Of held: the ids of the events of emergency stops"`
	Entries string   `json:"entries,omitempty" doc:"Of held: the indices of what they keep, such as 4,7-9"`

	retryAfter int // seconds; 0: it is of no use to try again as it is
	err        error
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Location string `json:"location" doc:"Where it is, such as body.reason, query.limit or body[3]/details/count"`
	Message  string `json:"message" doc:"What is wrong there"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// Unwrap returns what it tells of, if that was an error.
func (p *Problem) Unwrap() error { return p.err }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	return h
}

func newProblem(status int, code, format string, args ...any) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// again says after how many seconds the same request may succeed.
func (p *Problem) again(seconds int) *Problem {
	p.retryAfter = seconds
	return p
}

// huma makes its errors with a variable of its package, and has one for whether a list
// may be null.
func init() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		p := newProblem(status, statusCode(status), "%s", msg)
		for _, err := range errs {
			var d huma.ErrorDetailer
			switch {
			case err == nil:
			case errors.As(err, &d):
				p.Errors = append(p.Errors, Fault{d.ErrorDetail().Location, d.ErrorDetail().Message})
			default:
				p.Errors = append(p.Errors, Fault{"request", err.Error()})
			}
		}
		if len(p.Errors) == 1 {
			p.Detail = p.Errors[0].Location + ": " + p.Errors[0].Message
		}
		return p
	}
}

// statusCode is the code of errors that are known by their status only.
func statusCode(status int) string {
	switch status {
	case http.StatusUnprocessableEntity:
		return "invalid"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	}
	return strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
}

// problemOf is the only place that knows how an error is answered.
func problemOf(err error) *Problem {
	p := judge(err)
	p.err = err
	return p
}

func judge(err error) *Problem {
	var p *Problem
	var syntax *event.SyntaxError
	var field *event.FieldError
	var invalid *event.ValidationError
	var size *custody.PayloadSizeError
	var held *custody.HeldError
	var body *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &p):
		copied := *p
		return &copied
	case errors.As(err, &syntax):
		p = newProblem(http.StatusBadRequest, "malformed", "malformed JSON at byte %d: %s", syntax.Offset+1, syntax.Problem)
		p.Errors = []Fault{{fmt.Sprintf("body, byte %d", syntax.Offset+1), syntax.Problem}}
	case errors.As(err, &field):
		p = newProblem(http.StatusUnprocessableEntity, "invalid", "%s", err)
		p.Errors = []Fault{{"body" + field.Pointer, field.Problem}}
	case errors.As(err, &invalid):
		p = newProblem(http.StatusUnprocessableEntity, "invalid", "the event breaks the rules of its type; correct it, or send it without strict=true to store it with these defects")
		for _, text := range invalid.Problems {
			name, problem, ok := strings.Cut(text, ": ")
			if !ok {
				name, problem = "", text
			}
			p.Errors = append(p.Errors, Fault{strings.TrimSuffix("body/"+name, "/"), problem})
		}
	case errors.As(err, &size):
		p = newProblem(http.StatusRequestEntityTooLarge, "too_large", "%s", err)
		p.Size, p.Limit = size.Size, size.Limit
	case errors.As(err, &body):
		p = newProblem(http.StatusRequestEntityTooLarge, "too_large", "the body has more than %d bytes; send fewer events at once, or a stream of NDJSON", body.Limit)
	case errors.As(err, &held):
		p = newProblem(http.StatusConflict, "held", "%s", err)
		p.Holds, p.Stops, p.Entries = held.Holds, held.Stops, held.Entries.String()
	case errors.Is(err, dualcontrol.ErrSamePerson):
		p = newProblem(http.StatusForbidden, "same_person", "%s", err)
	case errors.Is(err, dualcontrol.ErrState):
		p = newProblem(http.StatusConflict, "state", "%s", err)
	case errors.Is(err, dualcontrol.ErrTooMany):
		p = newProblem(http.StatusConflict, "too_many", "%s", err)
	case errors.Is(err, dualcontrol.ErrTooLarge):
		p = newProblem(http.StatusRequestEntityTooLarge, "too_large", "%s", err)
	case errors.Is(err, custody.ErrConflict):
		p = newProblem(http.StatusConflict, "conflict", "%s", err)
	case errors.Is(err, trails.ErrExists):
		p = newProblem(http.StatusConflict, "exists", "%s", err)
	case errors.Is(err, trails.ErrName), errors.Is(err, auth.ErrTokenSpec):
		p = newProblem(http.StatusUnprocessableEntity, "invalid", "%s", err)
	case errors.Is(err, trails.ErrNotFound), errors.Is(err, custody.ErrNotFound), errors.Is(err, auth.ErrNoToken), errors.Is(err, dualcontrol.ErrNotFound):
		p = newProblem(http.StatusNotFound, "not_found", "%s", err)
	case errors.Is(err, custody.ErrPruned):
		p = newProblem(http.StatusGone, "pruned", "%s", err)
	case errors.Is(err, custody.ErrErased):
		p = newProblem(http.StatusGone, "erased", "%s", err)
	case errors.Is(err, custody.ErrFull):
		p = newProblem(http.StatusServiceUnavailable, "full", "too many events wait to be written; nothing of this request was taken, send it again").again(1)
	case errors.Is(err, trails.ErrGone):
		p = newProblem(http.StatusServiceUnavailable, "gone", "the directory of the trail was removed or replaced on the server's disk, so nothing is recorded any more; an operator has to put it back. Send the rest again under the same ids").again(60)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		p = newProblem(http.StatusServiceUnavailable, "disk_full", "the disk is full, so nothing is recorded any more; make room, then start the server again. What was acknowledged is safe; send the rest again under the same ids").again(60)
	case errors.Is(err, custody.ErrFailed):
		p = newProblem(http.StatusServiceUnavailable, "failed", "an earlier write failed, so nothing is recorded any more; look at the disk of the server, then start it again. What was acknowledged is safe; send the rest again under the same ids").again(60)
	case errors.Is(err, custody.ErrReadOnly):
		p = newProblem(http.StatusServiceUnavailable, "read_only", "%s", err).again(60)
	case errors.Is(err, custody.ErrClosed), errors.Is(err, trails.ErrClosed):
		p = newProblem(http.StatusServiceUnavailable, "stopping", "the server is stopping").again(5)
	case errors.Is(err, custody.ErrAltered), errors.Is(err, custody.ErrDamaged):
		p = newProblem(http.StatusInternalServerError, "altered", "what is stored does not check out; have the trail verified")
	case errors.Is(err, context.DeadlineExceeded):
		p = newProblem(http.StatusServiceUnavailable, "timeout", "it took too long and was given up; ask for less. An event that was being written may be recorded: send it again under the same id to find out").again(1)
	case errors.Is(err, context.Canceled):
		p = newProblem(499, "cancelled", "the client is gone") // nobody reads it; it is in the metrics
	case errors.Is(err, io.ErrUnexpectedEOF):
		p = newProblem(http.StatusBadRequest, "cut_off", "the body ends before its end; send it again")
	case errors.As(err, &timeout) && timeout.Timeout():
		p = newProblem(http.StatusRequestTimeout, "slow", "the body did not come in time; what came of it was not recorded")
	default:
		p = newProblem(http.StatusInternalServerError, "internal", "it could not be done; the log of the server says why")
	}
	return p
}

// fail answers with an error. Those that are the server's fault are logged.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problem(r.Context(), err)
	_, exported := otlpPaths[r.URL.Path]
	if exported {
		p = p.exporters()
	}
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	if exported {
		failExport(w, r, p)
		return
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // an error means that the client is gone
}

// problem returns the answer to an error, and logs those that are the server's fault.
func (s *Server) problem(ctx context.Context, err error) *Problem {
	p := problemOf(err)
	if p.Status >= 500 && p.Code != "full" && p.Code != "stopping" {
		s.log.ErrorContext(ctx, "custody: a request failed", "route", routeOf(ctx), "code", p.Code, "err", err)
	}
	return p
}
