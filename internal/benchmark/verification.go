package benchmark

import (
	"context"
	"errors"
	"fmt"

	"github.com/custodylog/custody"
)

// Verified is how fast a trail was verified.
type Verified struct {
	Entries uint64  `json:"entries"` // that were read
	Workers int     `json:"workers"`
	Since   uint64  `json:"since"` // size of the trusted checkpoint that it began at
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"entries_per_second"`
	CPU     float64 `json:"cpu_seconds_per_entry"`
	Others  float64 `json:"processors_busy_elsewhere"`
}

// errFindings says that a trail that was only measured does not check out.
var errFindings = errors.New("the trail that was measured does not check out")

// Verify measures one verification. since may be nil.
func Verify(ctx context.Context, t *custody.Trail, workers int, since []byte) (Verified, error) {
	cpu := readCPU()
	r, err := t.Verify(ctx, custody.VerifyOptions{Workers: workers, Since: since})
	if err != nil {
		return Verified{}, err
	}
	if !r.OK() {
		return Verified{}, fmt.Errorf("%w: %v", errFindings, r.Findings[0])
	}
	own, others := cpu.since(r.Elapsed)
	v := Verified{Entries: r.Entries, Workers: workers, Since: r.From, Seconds: r.Elapsed.Seconds(), Others: others}
	v.Rate = float64(r.Entries) / v.Seconds
	v.CPU = own.Seconds() / float64(max(1, r.Entries))
	return v, nil
}
