package client

import (
	"context"
	"errors"
	"net/http"

	"github.com/custodylog/custody"
)

// cosignedJSON is what became of asking witnesses, as the server tells it.
type cosignedJSON struct {
	Size      uint64 `json:"size"`
	Quorum    bool   `json:"quorum"`
	Witnesses []struct {
		Name     string `json:"name"`
		Cosigned bool   `json:"cosigned"`
		Error    string `json:"error"`
	} `json:"witnesses"`
}

// Cosign has the server ask its witnesses to cosign the newest checkpoint now, as
// custody.Trail.Cosign does with those of a policy: which they are, is in the server's
// configuration. Signed is nil in what is returned; [Trail.Published] gets the checkpoint.
func (t *Trail) Cosign(ctx context.Context) (*custody.CosignResult, error) {
	var answer cosignedJSON
	if err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("cosign")}, &answer); err != nil {
		return nil, err
	}
	r := &custody.CosignResult{Size: answer.Size, Quorum: answer.Quorum}
	for _, w := range answer.Witnesses {
		one := custody.WitnessResult{Name: w.Name}
		if !w.Cosigned {
			one.Err = errors.New(w.Error)
		}
		r.Witnesses = append(r.Witnesses, one)
	}
	return r, nil
}

// Timestamp has the server ask its authority for a time-stamp now, as
// custody.Trail.Timestamp does with one that is named. It returns the size of the
// checkpoint.
func (t *Trail) Timestamp(ctx context.Context) (uint64, error) {
	var answer struct {
		Size uint64 `json:"size"`
	}
	err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("timestamp")}, &answer)
	return answer.Size, err
}
