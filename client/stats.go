package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// Counts counts entries by type and period, as custody.Trail.Counts does.
func (t *Trail) Counts(ctx context.Context, since, until time.Time, every time.Duration) ([]custody.Count, error) {
	if every <= 0 || every%time.Hour != 0 {
		return nil, fmt.Errorf("periods of %s: they have to be whole hours", every)
	}
	q := custody.Query{Since: since, Until: until}
	values, err := filterOf(&q)
	if err != nil {
		return nil, nil // the bounds leave nothing
	}
	values.Set("by", "hour")
	if every%(24*time.Hour) == 0 {
		values.Set("by", "day")
	}
	counts, err := t.count(ctx, values)
	if err != nil {
		return nil, err
	}
	// Longer periods are made of those.
	sums := counts[:0]
	for _, c := range counts {
		c.Start = c.Start.Truncate(every)
		i := slices.IndexFunc(sums, func(s custody.Count) bool { return s.Start.Equal(c.Start) && s.Type == c.Type })
		if i < 0 {
			sums = append(sums, c)
		} else {
			sums[i].Count += c.Count
		}
	}
	slices.SortFunc(sums, func(a, b custody.Count) int {
		if order := a.Start.Compare(b.Start); order != 0 {
			return order
		}
		return strings.Compare(string(a.Type), string(b.Type))
	})
	return sums, nil
}

func (t *Trail) count(ctx context.Context, values url.Values) ([]custody.Count, error) {
	var answer struct {
		Counts []struct {
			Start moment     `json:"start"`
			Type  event.Type `json:"type"`
			Count uint64     `json:"count"`
		} `json:"counts"`
	}
	if err := t.conn.json(ctx, request{method: http.MethodGet, path: t.path("counts"), query: values}, &answer); err != nil {
		return nil, err
	}
	counts := make([]custody.Count, len(answer.Counts))
	for i, c := range answer.Counts {
		counts[i] = custody.Count{Start: c.Start.Time, Type: c.Type, Count: c.Count}
	}
	return counts, nil
}

// statsJSON is a trail at a glance, as the server tells it.
type statsJSON struct {
	Origin     string   `json:"origin"`
	Size       uint64   `json:"size"`
	First      moment   `json:"first"`
	Last       moment   `json:"last"`
	Bytes      int64    `json:"bytes"`
	KeyIDs     []string `json:"key_ids"`
	Checkpoint struct {
		Size uint64        `json:"size"`
		Root evidence.Hash `json:"root"`
	} `json:"checkpoint"`
	Parts []struct {
		Name  string `json:"name"`
		First uint64 `json:"first"`
		Count uint64 `json:"count"`
	} `json:"parts"`
	Types []struct {
		Type  event.Type `json:"type"`
		Count uint64     `json:"count"`
	} `json:"types"`
	Minimum  uint64       `json:"minimum_index"`
	Cosigned *claimedJSON `json:"cosigned"`
	Stamped  *claimedJSON `json:"time_stamped"`
}

type claimedJSON struct {
	Size uint64   `json:"size"`
	By   []string `json:"by"`
	Time moment   `json:"time"`
}

func (j *claimedJSON) claimed() *custody.Claimed {
	if j == nil {
		return nil
	}
	return &custody.Claimed{Size: j.Size, By: j.By, Time: j.Time.Time}
}

// GuardOnServer is Stats.Guard of a trail whose last checkpoint is kept by the server.
const GuardOnServer = "on the server"

// Stats returns the trail at a glance, as custody.Trail.Stats does. Guard is
// [GuardOnServer], or empty.
func (t *Trail) Stats(ctx context.Context) (custody.Stats, error) {
	var answer struct {
		Stats   statsJSON `json:"stats"`
		Guarded bool      `json:"guarded"`
	}
	if err := t.get(ctx, &answer); err != nil {
		return custody.Stats{}, err
	}
	j := &answer.Stats
	t.sized(j.Size)
	s := custody.Stats{Origin: j.Origin, Size: j.Size, First: j.First.Time, Last: j.Last.Time, Bytes: j.Bytes, KeyIDs: j.KeyIDs,
		Minimum: j.Minimum, Cosigned: j.Cosigned.claimed(), Stamped: j.Stamped.claimed()}
	if answer.Guarded {
		s.Guard = GuardOnServer
	}
	if j.Checkpoint.Size > 0 {
		s.Checkpoint = evidence.Checkpoint{Origin: j.Origin, Size: j.Checkpoint.Size, Root: j.Checkpoint.Root}
	}
	for _, p := range j.Parts {
		s.Parts = append(s.Parts, custody.Part{Name: p.Name, First: p.First, Count: p.Count})
	}
	for _, c := range j.Types {
		s.Types = append(s.Types, custody.TypeCount{Type: c.Type, Count: c.Count})
	}
	return s, nil
}
