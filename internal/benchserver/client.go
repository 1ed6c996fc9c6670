package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/custodylog/custody/event"
)

// client records events over HTTP, with as many connections as callers. It implements
// benchmark.Log. It does as little as it can, since it runs on the same processors as the
// server: requests are written as they are, and of answers the lines are counted.
type client struct {
	address string
	idle    sync.Pool // of *connection
}

func newClient(url string) *client { return &client{address: strings.TrimPrefix(url, "http://")} }

type connection struct {
	net.Conn
	in   *bufio.Reader
	head []byte
	body []byte
}

// Append implements benchmark.Log.
func (c *client) Append(ctx context.Context, events []event.Event) (commit uint64, err error) {
	conn, _ := c.idle.Get().(*connection)
	if conn == nil {
		tcp, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return 0, err
		}
		conn = &connection{Conn: tcp, in: bufio.NewReaderSize(tcp, 64<<10)}
	}
	if err := conn.record(c.address, events); err != nil {
		conn.Close()
		return 0, err
	}
	c.idle.Put(conn)
	return 0, nil
}

// Flush implements benchmark.Log: what was acknowledged is durable.
func (c *client) Flush(context.Context) error { return nil }

// record sends events and waits until all are acknowledged.
func (c *connection) record(host string, events []event.Event) (err error) {
	kind := "application/json"
	if len(events) > 1 {
		kind = "application/x-ndjson"
	}
	c.body = c.body[:0]
	for i := range events {
		if c.body, err = events[i].AppendPayload(c.body); err != nil {
			return err
		}
		c.body = append(c.body, '\n')
	}
	c.head = append(c.head[:0], "POST /v1/trails/default/events HTTP/1.1\r\nHost: "...)
	c.head = append(append(append(c.head, host...), "\r\nContent-Type: "...), kind...)
	c.head = strconv.AppendInt(append(c.head, "\r\nContent-Length: "...), int64(len(c.body)), 10)
	c.head = append(c.head, "\r\n\r\n"...)
	parts := net.Buffers{c.head, c.body}
	if _, err := parts.WriteTo(c.Conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if len(events) == 1 {
		_, err = io.Copy(io.Discard, resp.Body)
		if err == nil && resp.StatusCode != http.StatusCreated {
			err = fmt.Errorf("the server answers %s", resp.Status)
		}
		return err
	}
	answers, acknowledged := bufio.NewReaderSize(resp.Body, 64<<10), 0
	for {
		line, err := answers.ReadSlice('\n')
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if !bytes.Contains(line, []byte(`"receipt"`)) {
			return fmt.Errorf("the server answers %s", line)
		}
		acknowledged++
	}
	if acknowledged != len(events) {
		return fmt.Errorf("the server acknowledged %d of %d events", acknowledged, len(events))
	}
	return nil
}
