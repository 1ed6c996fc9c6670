package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/wire"
)

// registerVerifications serves
//
//	GET  /v1/trails/{trail}/verifications
//	POST /v1/trails/{trail}/verifications
//	GET  /v1/trails/{trail}/verifications/{job}
func (s *Server) registerVerifications() {
	const all = "/v1/trails/{trail}/verifications"
	operation(s, huma.Operation{OperationID: "startVerification", Method: http.MethodPost, Path: all, Tags: []string{"evidence"}, DefaultStatus: http.StatusAccepted,
		Summary:     "Have the whole trail read again and checked",
		Description: "It goes on by itself: the answer says where to look for how far it is, and for the result. Of each trail one verification runs at a time.",
		Errors:      []int{400, 403, 404, 409, 415, 422}}, s.startVerification)
	operation(s, huma.Operation{OperationID: "listVerifications", Method: http.MethodGet, Path: all, Tags: []string{"evidence"},
		Summary: "List the last verifications since the server was started, the newest first", Errors: []int{403, 404}}, s.listVerifications)
	operation(s, huma.Operation{OperationID: "getVerification", Method: http.MethodGet, Path: all + "/{job}", Tags: []string{"evidence"},
		Summary: "Get the progress or the result of a verification", Errors: []int{403, 404}}, s.getVerification)
}

// verification is a verification that runs, or has ended.
type verification struct {
	ID      string       `json:"id"`
	State   string       `json:"state" enum:"running,done,failed" doc:"done says that it came to its end, not that everything checks out: report.ok does. failed says nothing about the trail"`
	By      string       `json:"by" doc:"Who asked for it"`
	Started string       `json:"started"`
	Done    uint64       `json:"done" doc:"Entries that were read"`
	Total   uint64       `json:"total" doc:"Entries that are to be read"`
	Report  *wire.Report `json:"report,omitempty" doc:"As custody verify --json writes it (docs/cli-json.md)"`
	Problem string       `json:"problem,omitempty" doc:"Why it could not be completed"`
}

// jobs keeps the last verifications of each trail.
type jobs struct {
	mu   sync.Mutex
	all  map[string][]*verification // guarded by mu, what they point to too; by trail, the oldest first
	last int                        // guarded by mu: number of the last one
}

// keptJobs is how many verifications of a trail are remembered.
const keptJobs = 20

func newJobs() *jobs { return &jobs{all: map[string][]*verification{}} }

// begin adds a verification unless one of the trail runs.
func (j *jobs) begin(trail, by string, total uint64) (*verification, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := j.all[trail]
	if n := len(list); n > 0 && list[n-1].State == "running" {
		return nil, newProblem(http.StatusConflict, "running", "verification %s of this trail is running; wait for its result", list[n-1].ID)
	}
	j.last++
	v := &verification{ID: strconv.Itoa(j.last), State: "running", By: by, Started: wire.Time(time.Now()), Total: total}
	j.all[trail] = append(list[max(0, len(list)-keptJobs+1):], v)
	return v, nil
}

// update changes a verification.
func (j *jobs) update(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
}

// of returns the verifications of a trail as they are now, the newest first.
func (j *jobs) of(trail string) []verification {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]verification, 0, len(j.all[trail]))
	for _, v := range slices.Backward(j.all[trail]) {
		list = append(list, *v)
	}
	return list
}

type verificationOutput struct {
	Location string `header:"Location" doc:"Where to look for the result"`
	Body     verification
}

func (s *Server) startVerification(ctx context.Context, in *struct {
	InTrail
	Body struct {
		Key         string   `json:"key,omitempty" doc:"Verifier key that the trail began with. Without it, the one that it names itself"`
		Checkpoints []string `json:"checkpoints,omitempty" maxItems:"100" doc:"Checkpoints that were kept elsewhere. The trail must extend each of them"`
		Since       string   `json:"since,omitempty" doc:"Checkpoint up to which the trail has been verified; only what is behind it is read"`
		Policy      string   `json:"policy,omitempty" maxLength:"65536" doc:"Trust policy (C2SP tlog-policy): whose cosignatures count. Without it, that of the server's configuration, if it has one; otherwise cosignatures are not checked"`
	}
}) (*verificationOutput, error) {
	t, err := s.trails.Get(in.Trail)
	if err != nil {
		return nil, err
	}
	opts := custody.VerifyOptions{Key: in.Body.Key}
	if in.Body.Policy == "" {
		opts.Policy, err = s.policyFor(ctx, t)
	} else if opts.Policy, err = evidence.ParsePolicy([]byte(in.Body.Policy)); err != nil {
		err = invalid("body.policy", "%s", err)
	}
	if err != nil {
		return nil, err
	}
	if in.Body.Key != "" {
		if _, err := evidence.ParseVerifier(in.Body.Key); err != nil {
			return nil, invalid("body.key", "%s", err)
		}
	}
	for i, c := range in.Body.Checkpoints {
		if _, err := evidence.PeekCheckpoint([]byte(c)); err != nil {
			return nil, invalid(fmt.Sprintf("body.checkpoints[%d]", i), "%s", err)
		}
		opts.Checkpoints = append(opts.Checkpoints, []byte(c))
	}
	if in.Body.Since != "" {
		if _, err := evidence.PeekCheckpoint([]byte(in.Body.Since)); err != nil {
			return nil, invalid("body.since", "%s", err)
		}
		opts.Since = []byte(in.Body.Since)
	}
	v, err := s.jobs.begin(t.Name, sender(ctx), t.Size())
	if err != nil {
		return nil, err
	}
	var started verification
	s.jobs.update(func() { started = *v })
	running := context.WithoutCancel(ctx)
	s.working.Go(func() {
		running, cancel := s.untilStopped(running)
		defer cancel()
		s.verify(running, t, v, opts)
	})
	return &verificationOutput{fmt.Sprintf("/v1/trails/%s/verifications/%s", t.Name, started.ID), started}, nil
}

// policyFor returns the policy of the configuration for a trail, nil if there is none.
func (s *Server) policyFor(ctx context.Context, t *trails.Trail) (*evidence.Policy, error) {
	if s.policy == nil {
		return nil, nil
	}
	p, err := evidence.ParsePolicy(s.policy)
	if err != nil || slices.ContainsFunc(p.Logs(), func(log note.Verifier) bool { return log.Name() == t.Origin() }) {
		return p, err
	}
	keys, err := wire.KeysOf(ctx, t.Trail)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, k := range keys {
		text = fmt.Appendf(text, "log %s\n", k.VKey)
	}
	return evidence.ParsePolicy(append(text, s.policy...))
}

// verify runs a verification and keeps its result.
func (s *Server) verify(ctx context.Context, t *trails.Trail, v *verification, opts custody.VerifyOptions) {
	opts.Progress = func(done, total uint64) {
		s.jobs.update(func() { v.Done, v.Total = max(v.Done, done), total })
	}
	report, err := t.Verify(ctx, opts)
	if err != nil {
		s.log.Error("custody: a verification could not be completed", "trail", t.Name, "err", err)
		s.jobs.update(func() { v.State, v.Problem = "failed", err.Error() })
		return
	}
	j := wire.ReportOf(report)
	if n := len(j.Findings); n > 0 || report.From == 0 { // of a part it says nothing of the rest
		s.verified(t.Name, n)
	}
	if !report.OK() {
		f := report.Findings[0]
		s.log.Error("custody: a trail does not check out", "trail", t.Name, "findings", len(report.Findings), "first", f.Detail)
		s.note(ctx, event.Event{Type: event.VerificationFailed, Details: map[string]any{
			"what": "trail " + t.Name + ": " + f.Cause.Meaning(), "trail": t.Name, "finding": string(f.Cause), "index": f.Index, "findings": len(report.Findings), "by": sender(ctx),
		}})
	}
	s.note(ctx, event.Event{Type: event.VerificationCompleted, Details: map[string]any{
		"what": "trail " + t.Name, "trail": t.Name, "findings": len(report.Findings), "size": report.Size, "from_index": report.From, "strength": j.Strength, "by": sender(ctx),
	}})
	s.jobs.update(func() { v.State, v.Report, v.Done = "done", &j, v.Total })
}

func (s *Server) listVerifications(_ context.Context, in *InTrail) (*struct {
	Body struct {
		Verifications []verification `json:"verifications"`
	}
}, error) {
	if _, err := s.trails.Get(in.Trail); err != nil {
		return nil, err
	}
	out := &struct {
		Body struct {
			Verifications []verification `json:"verifications"`
		}
	}{}
	out.Body.Verifications = s.jobs.of(in.Trail)
	return out, nil
}

func (s *Server) getVerification(_ context.Context, in *struct {
	InTrail
	Job string `path:"job" doc:"Id of the verification"`
}) (*struct{ Body verification }, error) {
	if _, err := s.trails.Get(in.Trail); err != nil {
		return nil, err
	}
	for _, v := range s.jobs.of(in.Trail) {
		if v.ID == in.Job {
			return &struct{ Body verification }{v}, nil
		}
	}
	return nil, newProblem(http.StatusNotFound, "not_found", "there is no verification %.40q; the last %d since the server was started are kept", in.Job, keptJobs)
}
