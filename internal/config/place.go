package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// places knows where settings were given.
type places struct {
	file  string            // its name; empty: there is none
	lines lines             // of the file
	over  map[string]string // what won over the file, by setting: a flag, or a variable of the environment
}

// from returns what gave a setting.
func (p *places) from(setting string) string {
	if by := p.over[setting]; by != "" {
		return by
	}
	if p.lines[setting] > 0 {
		return p.file
	}
	return "default"
}

// Wrong returns an error about the setting at a path, such as tls.key or
// alerts.rules[0].severity, that says where it was given: FILE:LINE, the variable of the
// environment, or the flag.
func (c *Config) Wrong(path string, err error) error {
	return c.places.wrong(path, err.Error())
}

func (p *places) wrong(path, text string) error {
	by, line := p.of(path)
	switch {
	case by != "":
		return fmt.Errorf("%s: %s: %s", given(by), path, text)
	case line > 0:
		return fmt.Errorf("%s:%d: %s: %s", p.file, line, path, text)
	case p.file != "":
		return fmt.Errorf("%s: %s: %s", p.file, path, text)
	}
	return fmt.Errorf("%s: %s", path, text)
}

// of returns what gave what stands at a path, or the innermost part of it that was given:
// a flag or a variable, or a line of the file.
func (p *places) of(path string) (by string, line int) {
	for at := path; at != ""; at = parent(at) {
		if by, line = p.over[at], p.lines[at]; by != "" || line > 0 {
			return by, line
		}
	}
	return "", 0
}

// given names a flag or a variable.
func given(by string) string {
	if strings.HasPrefix(by, "--") {
		return by
	}
	return "the environment variable " + by
}

// parent returns the path of what a setting is a part of; empty: of nothing.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// mistakes are what is wrong with a configuration.
type mistakes []mistake

func (m *mistakes) add(path, format string, args ...any) {
	*m = append(*m, mistake{path: path, text: fmt.Sprintf(format, args...)})
}

// at returns them as errors, in the order of the file.
func (m mistakes) at(p *places) error {
	for i := range m {
		_, m[i].line = p.of(m[i].path)
	}
	slices.SortFunc(m, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), strings.Compare(a.Error(), b.Error()))
	})
	errs := make([]error, len(m))
	for i := range m {
		errs[i] = p.wrong(m[i].path, m[i].text)
	}
	return errors.Join(errs...)
}
