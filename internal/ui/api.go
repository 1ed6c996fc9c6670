package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// call sends a request to the API as whoever sent the one of the page, and reads the
// answer, unless it is nil. What the API refuses is a *refusal.
func (u *ui) call(v *view, method, path string, body, answer any) error {
	r := v.r.Clone(v.ctx)
	r.Method, r.Form, r.PostForm, r.Pattern = method, nil, nil, ""
	r.URL, r.RequestURI = &url.URL{Path: path}, path
	for _, name := range []string{"Accept-Encoding", "Content-Encoding", "Content-Type"} {
		r.Header.Del(name)
	}
	r.Body, r.ContentLength = http.NoBody, 0
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	}
	r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	w := answerOf{header: http.Header{}, status: http.StatusOK}
	u.API.ServeHTTP(&w, r)
	if err := v.ctx.Err(); err != nil {
		return err
	}
	switch {
	case w.status >= http.StatusMultipleChoices && w.status < http.StatusBadRequest: // it redirects from what is no path of its own
		return &refusal{http.StatusNotFound, "there is no " + path}
	case w.status >= http.StatusBadRequest:
		p := refusal{Status: w.status}
		if err := json.Unmarshal(w.body.Bytes(), &p); err != nil || p.Detail == "" {
			return fmt.Errorf("%s %s was answered %d: %.200q", method, path, w.status, w.body.Bytes())
		}
		return &p
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(w.body.Bytes(), answer)
}

// refusal is an error of the API (RFC 9457).
type refusal struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (p *refusal) Error() string { return p.Detail }

// correctable returns what the API has to say against a request that can be sent again
// in another form, and else the error.
func correctable(err error) (string, error) {
	var p *refusal
	if errors.As(err, &p) && p.Status < http.StatusInternalServerError {
		detail := strings.TrimPrefix(p.Detail, "body: ")
		return sentence(strings.TrimPrefix(detail, "body.")), nil // forms have the names of the API
	}
	return "", err
}

// answerOf keeps an answer. It implements http.ResponseWriter.
type answerOf struct {
	header http.Header
	status int
	body   bytes.Buffer
	begun  bool
}

func (a *answerOf) Header() http.Header { return a.header }

func (a *answerOf) WriteHeader(status int) {
	if !a.begun && status >= http.StatusOK {
		a.status, a.begun = status, true
	}
}

func (a *answerOf) Write(b []byte) (int, error) {
	a.begun = true
	return a.body.Write(b)
}
