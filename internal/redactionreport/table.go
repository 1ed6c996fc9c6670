package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func percent(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

// recall counts over all rules that are claimed.
func (l *labelled) recall() (gone, secrets int) {
	for _, s := range l.scores {
		gone += s.gone
		secrets += s.secrets
	}
	return gone, secrets
}

func (l *labelled) summary() string {
	var b strings.Builder
	gone, secrets := l.recall()
	right := 0
	for _, n := range l.right {
		right += n
	}
	fmt.Fprintf(&b, "**Labelled corpora.** Of %d secrets of the kinds that are claimed, %d are taken out: recall %s. "+
		"Of %d redactions, %d are in one of the %d texts in which there is no secret: precision %s. "+
		"Redaction was improved with these corpora in view; expect less of others.\n\n",
		secrets, gone, percent(gone, secrets), right+len(l.wrong), len(l.wrong), l.clean, percent(right, right+len(l.wrong)))
	return b.String()
}

func (l *labelled) table() string {
	var b strings.Builder
	b.WriteString("| corpus, rule | secrets | taken out | recall |\n|---|--:|--:|--:|\n")
	for _, s := range l.scores {
		if s.not == "" && s.secrets > 0 {
			fmt.Fprintf(&b, "| %s `%s` | %d | %d | %s |\n", s.corpus, s.rule, s.secrets, s.gone, percent(s.gone, s.secrets))
		}
	}
	b.WriteString("\nNot claimed:\n\n| corpus, rule | why |\n|---|---|\n")
	for _, s := range l.scores {
		if s.not != "" {
			fmt.Fprintf(&b, "| %s `%s` | %s |\n", s.corpus, s.rule, s.not)
		}
	}
	wrong := map[string]int{}
	for _, f := range l.wrong {
		wrong[f.rule]++
	}
	rules := map[string]bool{}
	for r := range l.right {
		rules[r] = true
	}
	for r := range wrong {
		rules[r] = true
	}
	b.WriteString("\n| rule of redaction, on the corpora | right | wrong | precision |\n|---|--:|--:|--:|\n")
	for _, r := range slices.Sorted(maps.Keys(rules)) {
		fmt.Fprintf(&b, "| `%s` | %d | %d | %s |\n", r, l.right[r], wrong[r], percent(l.right[r], l.right[r]+wrong[r]))
	}
	return b.String()
}

func (c *calls) summary() string {
	var b strings.Builder
	total := source{}
	for _, s := range c.sources {
		total.events += s.events
		total.calls += s.calls
		total.bytes += s.bytes
	}
	kinds := map[string]int{}
	for _, f := range c.found {
		kinds[c.verdict(f)]++
	}
	fmt.Fprintf(&b, "**Real tool calls.** In %d calls (%d events, %.1f MB) %d redactions are of secrets, %d of identifiers of credentials "+
		"(AWS access key ids), and %d are false: %.2f false positives in 1,000 calls.\n\n",
		total.calls, total.events, float64(total.bytes)/1e6, kinds["secret"], kinds["identifier"], kinds["false"], 1000*float64(kinds["false"])/float64(max(1, total.calls)))
	b.WriteString("| source | events | tool calls | MB |\n|---|--:|--:|--:|\n")
	for _, name := range slices.Sorted(maps.Keys(c.sources)) {
		s := c.sources[name]
		fmt.Fprintf(&b, "| %s | %d | %d | %.2f |\n", name, s.events, s.calls, float64(s.bytes)/1e6)
	}
	return b.String()
}

func (c *calls) table() string {
	var b strings.Builder
	type line struct{ rule, verdict string }
	lines := map[line]int{}
	for _, f := range c.found {
		lines[line{f.rule, c.verdict(f)}]++
	}
	b.WriteString("| rule of redaction, on tool calls | verdict | redactions |\n|---|---|--:|\n")
	for _, l := range slices.SortedFunc(maps.Keys(lines), func(x, y line) int {
		return cmp.Or(cmp.Compare(x.verdict, y.verdict), cmp.Compare(x.rule, y.rule))
	}) {
		fmt.Fprintf(&b, "| `%s` | %s | %d |\n", l.rule, l.verdict, lines[l])
	}
	return b.String()
}
