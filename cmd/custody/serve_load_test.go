package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody"
)

// post records an event and reports whether the server acknowledged it.
func post(url, id string) (acknowledged bool, err error) {
	body := fmt.Sprintf(`{"event_type":"turn_ended","session_id":"s","id":%q}`, id)
	resp, err := http.Post(url+"/v1/trails/default/events", "application/json", strings.NewReader(body))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusCreated, nil
}

// sender is a way to record events with ids.
type sender struct {
	name string
	each int // events of a request

	// send returns the ids of those that the server acknowledged, also when it was gone
	// before the end.
	send func(url string, ids []string) (acknowledged []string, err error)
}

var senders = []sender{
	{"single", 1, func(url string, ids []string) ([]string, error) {
		ok, err := post(url, ids[0])
		if !ok {
			return nil, err
		}
		return ids, err
	}},
	{"stream", 50, sendStream},
	{"array", 20, func(url string, ids []string) ([]string, error) {
		resp, err := http.Post(url+"/v1/trails/default/events", "application/json", strings.NewReader("["+strings.Join(turns(ids), ",")+"]"))
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusCreated {
			return nil, nil
		}
		return ids, nil // all of them, whatever became of the rest of the answer
	}},
}

func turns(ids []string) []string {
	events := make([]string, len(ids))
	for i, id := range ids {
		events[i] = fmt.Sprintf(`{"event_type":"turn_ended","session_id":"s","id":%q}`, id)
	}
	return events
}

// sendStream sends a line for each event, and reads a line for each.
func sendStream(url string, ids []string) (acknowledged []string, err error) {
	resp, err := http.Post(url+"/v1/trails/default/events", "application/x-ndjson", strings.NewReader(strings.Join(turns(ids), "\n")+"\n"))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answers := bufio.NewScanner(resp.Body)
	for answers.Scan() {
		var answer struct{ Receipt struct{ ID string } }
		if err := json.Unmarshal(answers.Bytes(), &answer); err != nil {
			return acknowledged, err // it is cut off
		}
		if answer.Receipt.ID != "" {
			acknowledged = append(acknowledged, answer.Receipt.ID)
		}
	}
	return acknowledged, answers.Err()
}

// load records one request after the other from eight connections, two of which send
// streams and two arrays, until the server is gone or refuses something, and returns the
// ids of the events that it acknowledged. It calls reached once there are enough.
func load(t *testing.T, url, tag string, enough int, reached func()) map[string]bool {
	t.Helper()
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var work sync.WaitGroup
	for c, s := range []int{0, 0, 0, 0, 1, 1, 2, 2} {
		work.Go(func() {
			s := senders[s]
			for n := 0; ; n++ {
				ids := make([]string, s.each)
				for i := range ids {
					ids[i] = fmt.Sprintf("%s-%s-%d-%d-%d", s.name, tag, c, n, i)
				}
				got, err := s.send(url, ids)
				mu.Lock()
				before := len(acknowledged)
				for _, id := range got {
					acknowledged[id] = true
				}
				if before < enough && len(acknowledged) >= enough {
					reached()
				}
				mu.Unlock()
				if err != nil || len(got) < len(ids) {
					return
				}
			}
		})
	}
	work.Wait()
	return acknowledged
}

// byWay counts events by how they were sent.
func byWay(acknowledged map[string]bool) map[string]int {
	n := map[string]int{}
	for _, s := range senders {
		n[s.name] = 0
	}
	for id := range acknowledged {
		way, _, _ := strings.Cut(id, "-")
		n[way]++
	}
	return n
}

// checkAcknowledged checks that a trail holds events, and checks out.
func checkAcknowledged(t *testing.T, data string, acknowledged map[string]bool) {
	t.Helper()
	trail, err := custody.Open(filepath.Join(data, "trails", "default"), &custody.Options{KeyDir: filepath.Join(data, "keys"), DiskWarning: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	for id := range acknowledged {
		if _, err := trail.EntryByID(t.Context(), id); err != nil {
			t.Errorf("it was acknowledged: %v", err)
		}
	}
	report, err := trail.Verify(t.Context(), custody.VerifyOptions{})
	if err != nil || !report.OK() {
		t.Errorf("verification: %v, %v", report, err)
	}
}
