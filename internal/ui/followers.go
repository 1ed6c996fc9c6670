package ui

import (
	"net/http"

	"github.com/custodylog/custody"
)

// follower is what follows the trail inside of the server, and how far it is.
type follower struct {
	custody.HandlerStatus
	Behind uint64 // entries that it has not taken
}

// followersOf returns the followers of a trail.
func followersOf(t *custody.Trail) []follower {
	var all []follower
	for _, s := range t.Handlers() {
		f := follower{HandlerStatus: s}
		if size := t.Size(); s.Next < size {
			f.Behind = size - s.Next
		}
		all = append(all, f)
	}
	return all
}

// followersPage is all followers of a trail.
type followersPage struct {
	Trail     string
	Size      uint64
	Followers []follower
}

func (u *ui) followers(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r); err != nil {
		return err
	}
	return u.administration(w, v, http.StatusOK, "followers", &followersPage{v.name, v.trail.Size(), followersOf(v.trail)})
}
