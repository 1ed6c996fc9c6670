package terminal

import (
	"fmt"
	"strings"
	"time"
)

// Progress is a line that shows how far long work has come. It is drawn on a
// terminal only, and goes away when the work is done.
type Progress struct {
	out   *Output
	label string
	start time.Time
	drawn time.Time // guarded by out.mu
	shown bool      // guarded by out.mu
}

const (
	progressDelay = 300 * time.Millisecond // work that is done sooner shows none
	redraw        = 100 * time.Millisecond // how often a progress line changes at most
)

// NewProgress starts a progress line on o. There may be one at a time.
func (o *Output) NewProgress(label string) *Progress {
	return &Progress{out: o, label: label, start: time.Now()}
}

// Set says how far the work has come, in steps of any unit, and what to say of
// it. It may be called as often as one likes, from any number of goroutines;
// text is called only when the line is drawn. With a total of 0 nothing is known
// about the end.
func (p *Progress) Set(done, total uint64, text func(elapsed time.Duration) string) {
	o := p.out
	if !o.IsTerminal() {
		return
	}
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(p.start) < progressDelay || now.Sub(p.drawn) < redraw {
		return
	}
	p.drawn = now
	elapsed := now.Sub(p.start)
	line := p.label
	if total > 0 {
		line += " " + bar(done, total)
		if left := timeLeft(done, total, elapsed); left >= time.Minute {
			line += "  " + Duration(left) + " left"
		} else if left >= time.Second {
			line += fmt.Sprintf("  %.0f s left", left.Seconds())
		}
	}
	line += "  " + text(elapsed)
	o.erase()
	o.w.WriteString(Cut(Clean(line), o.width()-1))
	o.w.Flush()
	o.progress, p.shown = p, true
}

// Done takes the line off the screen.
func (p *Progress) Done() {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	p.out.erase()
	if p.out.progress == p {
		p.out.progress = nil
	}
	p.out.w.Flush()
}

// PerSecond writes a rate: "1,200/s".
func PerSecond(n uint64, elapsed time.Duration) string {
	if elapsed <= 0 {
		return "0/s"
	}
	return Count(uint64(float64(n)/elapsed.Seconds())) + "/s"
}

const barWidth = 20

func bar(done, total uint64) string {
	share := min(float64(done)/float64(total), 1)
	full := int(share * barWidth)
	return fmt.Sprintf("[%s%s] %3.0f %%", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*share)
}

// timeLeft estimates it from what is done; 0: too early to tell.
func timeLeft(done, total uint64, elapsed time.Duration) time.Duration {
	if done == 0 || done >= total || elapsed < time.Second {
		return 0
	}
	return time.Duration(float64(elapsed) * float64(total-done) / float64(done))
}
