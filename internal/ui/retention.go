package ui

import (
	"net/http"
	"time"

	"github.com/custodylog/custody/internal/wire"
	"github.com/custodylog/custody/retention"
)

// retentionPage is what expires, and what would go now.
type retentionPage struct {
	Trail  string
	Policy *retention.Policy // nil: none is configured
	Digest string
	Every  time.Duration
	Plan   *retentionPlan // nil: nobody asked for it
}

// retentionPlan is what the policy would remove.
type retentionPlan struct{ wire.Retention }

// Nothing reports whether nothing would go.
func (p *retentionPlan) Nothing() bool { return p.Count == 0 && p.PrunedCount == 0 }

func (u *ui) retention(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r); err != nil {
		return err
	}
	return u.showRetention(w, v, nil)
}

func (u *ui) showRetention(w http.ResponseWriter, v *view, plan *retentionPlan) error {
	p := &retentionPage{Trail: v.name, Every: u.RetentionEvery, Plan: plan}
	if u.RetentionPolicy != "" {
		policy, err := retention.Parse("the policy of the configuration", []byte(u.RetentionPolicy))
		if err != nil {
			return err
		}
		p.Policy, p.Digest = &policy, policy.Digest()
	}
	return u.administration(w, v, http.StatusOK, "retention", p)
}

// planRetention finds out what would go. It changes nothing, and may take as long as
// reading the index of the trail does: so it is done when somebody asks for it.
func (u *ui) planRetention(w http.ResponseWriter, v *view) error {
	if _, err := v.sent(w, nil); err != nil {
		return err
	}
	var plan retentionPlan
	if err := u.call(v, http.MethodPost, apiPath(v.name, "retention", "plan"), map[string]any{"policy": u.RetentionPolicy}, &plan); err != nil {
		return err
	}
	return u.showRetention(w, v, &plan)
}
