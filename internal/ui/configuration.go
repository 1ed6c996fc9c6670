package ui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Setting is the value of one setting, and where it is from.
type Setting struct{ Name, Value, From string }

// Secret reports whether the value is not to be shown: it is a secret, or an
// address that has or may have one.
func (s *Setting) Secret() bool {
	if s.Value == "" || s.Value == "[]" {
		return false
	}
	if u, err := url.Parse(s.Value); err == nil && u.User != nil {
		return true
	}
	last := s.Name[strings.LastIndexByte(s.Name, '.')+1:]
	return last == "webhooks" || slices.ContainsFunc([]string{"secret", "password", "token", "passphrase"}, func(word string) bool { return strings.HasSuffix(last, word) })
}

// Given reports whether somebody has set it.
func (s *Setting) Given() bool { return s.From != "default" }

// configurationPage is how the server is set up.
type configurationPage struct{ Settings []Setting }

func (u *ui) configuration(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r); err != nil {
		return err
	}
	return u.administration(w, v, http.StatusOK, "configuration", &configurationPage{u.Settings})
}
