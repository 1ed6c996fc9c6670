package terminal

import "strings"

// Column describes a column of a [Table].
type Column struct {
	Title string
	Right bool // numbers
	Min   int  // columns that it has at least, for rows that come later
	Max   int  // columns that it has at most on a terminal; 0: no bound

	// Drop lets a terminal that is too narrow leave the column out: those
	// with the lowest number first, 0 never.
	Drop int
}

// Cell is one value of a row. Its text is cleaned when it is written.
type Cell struct {
	Text  string
	Style Style
}

// sample is how many rows a table looks at before it settles the widths of its
// columns.
const sample = 1000

// gap stands between two columns.
const gap = "  "

// lastWidth is what the last column should have at least before others are left
// out.
const lastWidth = 30

// Table writes rows whose columns are aligned. On a terminal the last column
// gets what the others leave of the width. Its rows come out when enough are
// there to settle the widths, at Flush at the latest.
type Table struct {
	out     *Output
	columns []Column
	rows    [][]Cell
	widths  []int // nil until they are settled
}

// NewTable returns a table on o.
func (o *Output) NewTable(columns ...Column) *Table { return &Table{out: o, columns: columns} }

// Row adds a row. Cells that are left out are empty.
func (t *Table) Row(cells ...Cell) {
	row := make([]Cell, len(t.columns))
	copy(row, cells)
	for i := range row {
		row[i].Text = OneLine(row[i].Text)
	}
	if t.widths != nil {
		t.write(row)
		return
	}
	if t.rows = append(t.rows, row); len(t.rows) == sample {
		t.settle()
	}
}

// Flush writes what waits. The widths do not change any more.
func (t *Table) Flush() error {
	if t.widths == nil {
		t.settle()
	}
	return t.out.Flush()
}

// settle fixes the widths of the columns and writes the heading and the rows.
func (t *Table) settle() {
	columns := t.out.Width()
	last := len(t.columns) - 1
	used := 0
	t.widths = make([]int, len(t.columns))
	for i, c := range t.columns {
		w := max(c.Min, Width(c.Title))
		for _, row := range t.rows {
			w = max(w, Width(row[i].Text))
		}
		if columns > 0 && c.Max > 0 {
			w = min(w, max(c.Max, Width(c.Title)))
		}
		t.widths[i] = w
		if i < last {
			used += w + len(gap)
		}
	}
	if columns > 0 {
		for columns-used < min(lastWidth, t.widths[last]) {
			i := t.droppable()
			if i < 0 {
				break
			}
			used -= t.widths[i] + len(gap)
			t.widths[i] = dropped
		}
		t.widths[last] = min(t.widths[last], max(columns-used, Width(t.columns[last].Title)))
	}
	head := make([]Cell, len(t.columns))
	for i, c := range t.columns {
		head[i] = Cell{c.Title, Dim}
	}
	t.write(head)
	for _, row := range t.rows {
		t.write(row)
	}
	t.rows = nil
}

// dropped is the width of a column that is left out.
const dropped = -1

// droppable returns the next column to be left out, or -1.
func (t *Table) droppable() int {
	next := -1
	for i, c := range t.columns {
		if c.Drop > 0 && t.widths[i] != dropped && (next < 0 || c.Drop < t.columns[next].Drop) {
			next = i
		}
	}
	return next
}

func (t *Table) write(row []Cell) {
	var line strings.Builder
	blank := 0 // columns that are owed, written only if something follows
	for i, c := range row {
		if t.widths[i] == dropped {
			continue
		}
		text := c.Text
		if t.out.IsTerminal() {
			text = Cut(text, t.widths[i])
		}
		padded := pad(text, t.widths[i], t.columns[i].Right)
		trimmed := strings.TrimRight(padded, " ")
		if trimmed != "" {
			line.WriteString(strings.Repeat(" ", blank))
			start := len(trimmed) - len(strings.TrimLeft(trimmed, " "))
			line.WriteString(trimmed[:start])
			line.WriteString(t.out.Paint(c.Style, trimmed[start:]))
			blank = 0
		}
		blank += Width(padded) - Width(trimmed) + len(gap)
	}
	t.out.Printf("%s\n", line.String())
}
