package connect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say how an agent is connected.
type Options struct {
	Agent string

	Home    string              // the user's home directory
	Getenv  func(string) string // of environment variables that name other places
	Project string              // directory of the project whose settings are changed; empty: the user's

	Hook      []string // command line of a hook, up to the name of the agent
	URL       string   // that hooks post to, in the place of Hook; for agents that can ([Posts])
	Token     bool     // the server asks for a token, which is in CUSTODY_TOKEN
	Telemetry string   // address that logs are sent to (OTLP); empty: none

	// FailClosed says that Hook fails closed, for settings that have their own word
	// for it.
	FailClosed bool
}

// Agents returns the names of the agents whose settings are known.
func Agents() []string { return slices.Sorted(maps.Keys(agents)) }

// Posts reports whether an agent can post what it tells to an address by itself.
func Posts(agent string) bool { return agent == "claude-code" || agent == OpenAIAgents }

// Events returns the names of the events that the hooks of an agent are put in for.
func Events(o *Options) []string {
	a, ok := agents[o.Agent]
	if !ok {
		return nil
	}
	return a.events(o)
}

// Line returns the command line of Hook for a shell. It names the event that the hook is
// for, unless that is empty.
func (o *Options) Line(event string) string {
	args := o.args(event)
	for i, arg := range args {
		if strings.ContainsFunc(arg, func(r rune) bool { return !isPlain(r) }) || arg == "" {
			args[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(args, " ")
}

// powerShell is Line for PowerShell.
func (o *Options) powerShell(event string) string {
	args := o.args(event)
	for i, arg := range args {
		args[i] = "'" + strings.ReplaceAll(arg, "'", "''") + "'"
	}
	return "& " + strings.Join(args, " ")
}

// args puts the name of the event behind that of the agent.
func (o *Options) args(event string) []string {
	args := slices.Clone(o.Hook)
	if i := slices.Index(args, o.Agent); i >= 0 && event != "" {
		args = slices.Insert(args, i+1, event)
	}
	return args
}

func isPlain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=@%+,", r)
}

// Change is what is to become of a file.
type Change struct {
	File   string
	Before []byte   // nil: there is no file
	After  []byte   // nil: there will be none
	Notes  []string // for whoever connects the agent

	backup []byte // what is to be kept beside it; nil: nothing
	undo   bool   // what is kept is not needed any more
}

// Nothing reports whether the file is as it should be.
func (c *Change) Nothing() bool {
	return bytes.Equal(c.Before, c.After) && (c.Before == nil) == (c.After == nil)
}

// backupSuffix ends the name of the copy of a file as it was before.
const backupSuffix = ".before-custody"

// maxFile bounds settings in bytes.
const maxFile = 4 << 20

// Connect returns how the agent's settings are to change so that it is connected as the
// options say, whatever it is now. Doing it twice changes nothing the second time.
func Connect(o *Options) (*Change, error) {
	s, err := read(o)
	if err != nil {
		return nil, err
	}
	rest, found, err := s.agent.strip(s.text, s.before, o.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; nothing is changed", s.file, err)
	}
	c := &Change{File: s.file, Before: s.text}
	if !found { // what is kept, if there is anything, is of another time
		c.backup, rest = s.text, s.text
	} else if s.before != nil && s.same(rest) {
		rest = s.before
	}
	if c.After, c.Notes, err = s.agent.add(rest, o); err != nil {
		return nil, fmt.Errorf("%s: %w; nothing is changed", s.file, err)
	}
	if found && s.says(c.After, s.text) {
		c.After = s.text
	}
	return c, nil
}

// Undo returns how the agent's settings are to change so that nothing of ours is left:
// back to what they were, if nobody else has changed them since.
func Undo(o *Options) (*Change, error) {
	s, err := read(o)
	if err != nil {
		return nil, err
	}
	c := &Change{File: s.file, Before: s.text, After: s.text}
	rest, found, err := s.agent.strip(s.text, s.before, o.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w; nothing is changed", s.file, err)
	case !found:
		return c, nil
	case s.before != nil && s.same(rest):
		rest = s.before
	case s.before == nil && s.says(rest, nil):
		rest = nil
	case s.before != nil:
		c.Notes = append(c.Notes, "it was changed since by others as well; only what is ours is taken out")
	}
	c.After, c.undo = rest, true
	return c, nil
}

// state is what there is of an agent's settings.
type state struct {
	agent  agent
	file   string
	text   []byte // nil: there is no file
	before []byte // as it was before it was connected; nil: not known, or there was none
	says   func(a, b []byte) bool
}

func read(o *Options) (*state, error) {
	a, ok := agents[o.Agent]
	if !ok {
		return nil, fmt.Errorf("there is no agent %.40q whose settings are known; there are %s", o.Agent, strings.Join(Agents(), ", "))
	}
	file, err := a.file(o)
	if err != nil {
		return nil, err
	}
	s := &state{agent: a, file: file, says: sameJSON}
	if strings.HasSuffix(file, ".toml") {
		s.says = sameTOML
	}
	// Settings are often links to where somebody keeps them all.
	if s.file, err = behindLinks(file); err != nil {
		return nil, err
	}
	if o.Project != "" {
		project, err := behindLinks(o.Project)
		if err != nil {
			return nil, err
		}
		if inside, err := filepath.Rel(project, s.file); err != nil || !filepath.IsLocal(inside) {
			return nil, fmt.Errorf("%s is a link out of the project, to %s; nothing is changed", file, s.file)
		}
	}
	if s.text, err = readSettings(s.file); err == nil {
		s.before, err = readSettings(s.file + backupSuffix)
	}
	return s, err
}

// behindLinks returns where a file is, or will be once it is made.
func behindLinks(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if to, err := os.Readlink(name); err == nil {
		return "", fmt.Errorf("%s is a link to %s, which is not there", name, to)
	}
	dir := filepath.Dir(name)
	if dir == name {
		return name, nil
	}
	dir, err = behindLinks(dir)
	return filepath.Join(dir, filepath.Base(name)), err
}

// same reports whether settings without ours are those from before.
func (s *state) same(rest []byte) bool {
	before, _, err := s.agent.strip(s.before, s.before, "")
	return err == nil && s.says(rest, before)
}

// readSettings reads a file; nil: there is none.
func readSettings(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes; these are no settings", name, maxFile)
	}
	if text == nil {
		text = []byte{}
	}
	return text, err
}

// Apply makes the change. The file is replaced as a whole; it keeps its permissions. It
// fails, and changes nothing, where the file is not what the change was made for.
func (c *Change) Apply() error {
	if c.Nothing() {
		return nil
	}
	if now, err := readSettings(c.File); err != nil {
		return err
	} else if !bytes.Equal(now, c.Before) || (now == nil) != (c.Before == nil) {
		return fmt.Errorf("%s was changed meanwhile; nothing is changed", c.File)
	}
	kept := c.File + backupSuffix
	if !c.undo && c.backup == nil && c.Before == nil {
		if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(c.File), 0o755); err != nil {
		return err
	}
	if c.backup != nil {
		if err := replace(kept, c.backup, c.File); err != nil {
			return err
		}
	}
	if c.After == nil {
		return os.Remove(c.File)
	}
	if err := replace(c.File, c.After, c.File); err != nil {
		return err
	}
	if c.undo {
		if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// replace writes a whole file, with the owner and the permissions of the one named like,
// if there is one.
func replace(name string, text []byte, like string) error {
	info, lerr := os.Stat(like)
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil && lerr == nil {
		var mode fs.FileMode
		if mode, err = keepOwner(f, info); err == nil {
			err = f.Chmod(mode)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
