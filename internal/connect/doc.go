// Package connect puts Custody into the settings of agents, and takes it out again.
//
// Settings belong to their owner: what is there stays as it is, byte for byte, around
// what is added. A file that does not parse is refused. The first change keeps a copy of
// the file beside it, from which undoing restores it exactly, unless somebody has changed
// something else meanwhile; then only what was added is taken out.
package connect
