package terminal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Output is a stream that people or programs read. Writing is buffered until
// Flush. All methods may be called from any number of goroutines.
type Output struct {
	width  func() int // columns now; 0: not a terminal
	colour bool

	mu       sync.Mutex
	w        *bufio.Writer // guarded by mu
	progress *Progress     // guarded by mu: its line is on the screen
}

// New returns an output that writes to f. It has colours when f is a terminal
// and the environment does not speak against them (NO_COLOR, TERM=dumb).
func New(f *os.File) *Output {
	o := &Output{w: bufio.NewWriterSize(f, 16<<10), width: func() int { return 0 }}
	fd := int(f.Fd())
	if term.IsTerminal(fd) {
		o.width = func() int {
			if w, _, err := term.GetSize(fd); err == nil && w > 0 {
				return w
			}
			return 80
		}
		o.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return o
}

// IsTerminal reports whether v is a file that is a terminal.
func IsTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// NewFixed returns an output with a width that does not change; 0 means that it
// is not a terminal.
func NewFixed(w io.Writer, width int, colour bool) *Output {
	return &Output{w: bufio.NewWriter(w), width: func() int { return width }, colour: colour}
}

// IsTerminal reports whether somebody looks at the output.
func (o *Output) IsTerminal() bool { return o.width() > 0 }

// Width returns the number of columns, or 0 where there is no terminal.
func (o *Output) Width() int { return o.width() }

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.erase()
	return o.w.Write(p)
}

// Printf writes formatted text. Errors are kept for Flush.
func (o *Output) Printf(format string, args ...any) { fmt.Fprintf(o, format, args...) }

// Flush writes what is buffered and returns the first error that writing met.
func (o *Output) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Flush()
}

// erase takes the progress line off the screen. The caller holds mu.
func (o *Output) erase() {
	if p := o.progress; p != nil && p.shown {
		o.w.WriteString("\r\x1b[K")
		p.shown = false
	}
}

// Style is how text looks on a terminal with colours.
type Style string

// The styles, as the parameter of SGR (ECMA-48, 8.3.117).
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Alarm  Style = "1;31"
)

// Paint returns s in a style, where the output has colours.
func (o *Output) Paint(style Style, s string) string {
	if !o.colour || style == Plain || s == "" {
		return s
	}
	return "\x1b[" + string(style) + "m" + s + "\x1b[0m"
}

// Fields writes names and values below each other, the values aligned. A value
// may have several lines; what it holds is written as it is.
func (o *Output) Fields(indent int, fields ...Field) {
	widest := 0
	for _, f := range fields {
		if f.Value != "" {
			widest = max(widest, Width(f.Name))
		}
	}
	margin := strings.Repeat(" ", indent)
	for _, f := range fields {
		if f.Value == "" {
			continue
		}
		name := f.Name + strings.Repeat(" ", widest-Width(f.Name))
		below := "\n" + margin + strings.Repeat(" ", widest+2)
		o.Printf("%s%s  %s\n", margin, o.Paint(Dim, name), strings.ReplaceAll(f.Value, "\n", below))
	}
}

// Field is a line of [Output.Fields]. Without a value it is left out.
type Field struct{ Name, Value string }
