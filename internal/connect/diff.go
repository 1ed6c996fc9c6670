package connect

import (
	"slices"
	"strings"
)

// context is how many lines around a change are shown.
const context = 3

// maxDiff bounds the lines that are compared line by line.
const maxDiff = 4000

// Diff returns what changes from one text to another: lines that begin with "-", "+" or,
// where they stay, with a space. What lies between is left out: "…".
func Diff(before, after []byte) []string {
	a, b := lines(before), lines(after)
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	end := 0
	for end < min(len(a), len(b))-same && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var all []string
	for _, line := range a[:same] {
		all = append(all, " "+line)
	}
	all = append(all, compare(a[same:len(a)-end], b[same:len(b)-end])...)
	for _, line := range a[len(a)-end:] {
		all = append(all, " "+line)
	}
	return shorten(all)
}

func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// compare compares texts by their longest common subsequence.
func compare(a, b []string) (out []string) {
	if len(a)+len(b) > maxDiff {
		a, b = slices.Clone(a), slices.Clone(b)
		for i := range a {
			a[i] = "-" + a[i]
		}
		for i := range b {
			b[i] = "+" + b[i]
		}
		return append(a, b...)
	}
	common := make([][]int, len(a)+1) // length of that of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+b[j])
			j++
		}
	}
	return out
}

// shorten leaves out what lies far from a change.
func shorten(all []string) (out []string) {
	near := make([]bool, len(all))
	for i, line := range all {
		if line[0] != ' ' {
			for k := max(0, i-context); k <= min(len(all)-1, i+context); k++ {
				near[k] = true
			}
		}
	}
	for i, line := range all {
		switch {
		case near[i]:
			out = append(out, line)
		case i == 0 || near[i-1]:
			out = append(out, "…")
		}
	}
	return out
}
