package detector

import (
	"cmp"
	"slices"
)

// finder goes through one text.
type finder struct {
	set     *Set
	text    string
	found   []Match
	windows *windows // nil until there is one
	read    int      // bytes handed to regular expressions and gone through by them
}

// window is a part of the text that the pattern of a detector has to see.
type window struct{ start, end int }

// windows are the last window of each detector, which the next may prolong.
type windows struct {
	open    []window // by detector; the end is 0 if there is none
	touched []int    // the detectors that have one
}

// How far patterns see.
const (
	reachAround = 256
	reachAfter  = 160
	reachBefore = 64 // of a Block: to the beginning of its first line
)

// hit takes note of a keyword that ends at end.
func (f *finder) hit(uses []use, end int) {
	for i := range uses {
		u := &uses[i]
		start := end - len(u.keyword)
		if !u.fold && f.text[start:end] != u.keyword {
			continue
		}
		d := &f.set.detectors[u.detector]
		var open window
		if f.windows != nil {
			open = f.windows.open[u.detector]
		}
		if w := f.around(d, open, start, end); w.end > open.end {
			f.open(u.detector, w)
		}
	}
}

// around returns the window that a keyword at [start, end) asks for, given the
// one that the detector has. If that will do, it ends where that does.
func (f *finder) around(d *compiled, open window, start, end int) window {
	switch d.where {
	case Token:
		if start < open.end || !begins(f.text, start) {
			return open
		}
		if w := (window{start, f.wordEnd(end)}); w.end-w.start >= d.min {
			return w
		}
		return open
	case After:
		at := 0
		if d.ahead != nil {
			at = d.ahead(f.text, end)
		} else {
			at = f.word(end, d.min)
		}
		if at < 0 || at < open.end {
			return open // windows end where words do
		}
		return window{start, f.wordEnd(at)}
	case Block:
		if start < open.end {
			return open
		}
		for end < len(f.text) && isBlock[f.text[end]] {
			end++
		}
		return window{max(0, start-reachBefore), end}
	}
	if end = min(end+reachAround, len(f.text)); end <= open.end {
		return open
	}
	if start = max(0, start-reachAround); start <= open.end {
		start = open.end
	}
	for start > open.end && isWord[f.text[start-1]] {
		start--
	}
	return window{start, f.wordEnd(end)}
}

// begins reports whether a word can begin at i: after what is no letter, digit
// or underscore, or after an escape such as \n or %20.
func begins(text string, i int) bool {
	if i == 0 || !isName[text[i-1]] {
		return true
	}
	if i >= 2 && text[i-2] == '\\' {
		switch text[i-1] {
		case 'n', 'r', 't':
			return true
		}
	}
	return i >= 3 && text[i-3] == '%' && isHex[text[i-2]] && isHex[text[i-1]]
}

// wordEnd returns the end of the word that goes on at i.
func (f *finder) wordEnd(i int) int {
	for i < len(f.text) && isWord[f.text[i]] {
		i++
	}
	return i
}

// word returns where a word that begins at most reachAfter after i has got
// length bytes, or -1 if none has.
func (f *finder) word(i, length int) int {
	n := 0
	for limit := i + reachAfter; i < len(f.text) && (n > 0 || i < limit); i++ {
		if !isWord[f.text[i]] {
			n = 0
		} else if n++; n >= length {
			return i + 1
		}
	}
	return -1
}

// open makes w the window of the detector, or prolongs the one that it has.
func (f *finder) open(detector int, w window) {
	if f.windows == nil {
		f.windows = f.set.windows.Get().(*windows)
	}
	o := &f.windows.open[detector]
	switch {
	case o.end == 0:
		f.windows.touched = append(f.windows.touched, detector)
	case w.start <= o.end:
		o.end = w.end
		return
	default:
		f.search(&f.set.detectors[detector], *o)
	}
	*o = w
}

// close searches the windows that are left.
func (f *finder) close() {
	if f.windows == nil {
		return
	}
	for _, n := range f.windows.touched {
		f.search(&f.set.detectors[n], f.windows.open[n])
		f.windows.open[n] = window{}
	}
	f.windows.touched = f.windows.touched[:0]
	f.set.windows.Put(f.windows)
}

// search finds the secrets of one detector in a window.
func (f *finder) search(d *compiled, w window) {
	for at := w.start; at < w.end; {
		loc := d.re.FindStringSubmatchIndex(f.text[at:w.end])
		if loc == nil {
			f.read += w.end - at
			return
		}
		start, end := at+loc[0], at+loc[1]
		f.read += loc[1]
		ok := d.where != Token || begins(f.text, start)
		if len(loc) > 2 {
			start, end = at+loc[2], at+loc[3]
		}
		if ok && start < end && (d.check == nil || d.check(f.text[start:end])) {
			f.found = append(f.found, Match{start, end, d.name})
		}
		at += loc[1]
	}
}

// resolve sorts what was found since from, and joins what overlaps.
func (s *Set) resolve(found []Match, from int) []Match {
	all := found[from:]
	if len(all) < 2 {
		return found
	}
	slices.SortFunc(all, func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(s.rank[a.Detector], s.rank[b.Detector]))
	})
	kept := 0
	longest := all[0].End - all[0].Start // of those that became all[kept]
	for _, m := range all[1:] {
		last := &all[kept]
		n := m.End - m.Start
		if m.Start >= last.End {
			kept++
			all[kept], longest = m, n
			continue
		}
		if n > longest || n == longest && s.rank[m.Detector] < s.rank[last.Detector] {
			last.Detector, longest = m.Detector, n
		}
		last.End = max(last.End, m.End)
	}
	return found[:from+kept+1]
}

// Bytes.
var (
	isName   = bytes("_", '0', '9', 'A', 'Z', 'a', 'z')                             // of names in programs
	isWord   = bytes("_.+/=~%:!-", '0', '9', 'A', 'Z', 'a', 'z')                    // of secrets that are one word
	isHex    = bytes("", '0', '9', 'A', 'F', 'a', 'f')                              //
	isDigit  = bytes("", '0', '9')                                                  //
	isNumber = bytes(" -", '0', '9')                                                // of card numbers
	isBlock  = bytes("_+/=-., \t\r\n\\:\"'|()@<>*#;", '0', '9', 'A', 'Z', 'a', 'z') // of base64 over lines, and of the headers before it
)

// bytes is the set of those in the list and in the ranges.
func bytes(list string, ranges ...byte) (set [256]bool) {
	for i := range len(list) {
		set[list[i]] = true
	}
	for i := 0; i < len(ranges); i += 2 {
		for c := int(ranges[i]); c <= int(ranges[i+1]); c++ {
			set[c] = true
		}
	}
	return set
}
