package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
)

// message is one message of a stream of server-sent events.
type message struct {
	event string // empty: message
	data  []byte
	id    string // of this message, or else of the last one that had any
}

// messages reads server-sent events (HTML standard, section 9.2.6), each of at most
// limit bytes. A message that the stream breaks off in is left out; so are those
// without data. Lines end in LF or CR LF.
func messages(r io.Reader, limit int) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, limit)
		var m message
		size, any := 0, false
		for lines.Scan() {
			line := lines.Bytes()
			if size += len(line); size > limit {
				yield(m, fmt.Errorf("a message has more than %d bytes", limit))
				return
			}
			if len(line) == 0 {
				if any && !yield(m, nil) {
					return
				}
				m = message{id: m.id}
				size, any = 0, false
				continue
			}
			name, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch string(name) {
			case "event":
				m.event = string(value)
			case "id":
				if !bytes.Contains(value, []byte{0}) {
					m.id = string(value)
				}
			case "data":
				if any {
					m.data = append(m.data, '\n')
				}
				m.data, any = append(m.data, value...), true
			}
		}
		if err := lines.Err(); err != nil {
			yield(message{}, err)
		}
	}
}
