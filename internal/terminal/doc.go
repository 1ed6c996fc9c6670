// Package terminal writes for people: text that cannot do harm on a terminal,
// tables that fit its width, and lines that show how far long work has come.
//
// An [Output] is a stream. On a terminal it has a width and, unless NO_COLOR is
// set, colours; elsewhere it has neither, and what is written is complete: no
// cell is cut.
//
// What an agent reported may hold anything, escape sequences too. Whatever comes
// from outside goes through [Clean] or [OneLine] before it is written; the cells
// of a [Table] do so by themselves.
package terminal
