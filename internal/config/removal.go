package config

import "time"

// Removal says how many persons a removal takes over HTTP, or by the schedule of
// retention.
type Removal struct {
	SecondPerson bool     `yaml:"second_person"` // somebody else has to approve it
	Delay        Duration `yaml:"delay"`         // how long after its approval it is done
	Expires      Duration `yaml:"expires"`       // how long it can be approved
}

func (r *Removal) validate(bad complain) {
	const longest = 366 * 24 * time.Hour
	if d := time.Duration(r.Delay); d < 0 || d > longest {
		bad("removal.delay", "%s is not between 0s and a year", r.Delay)
	}
	if d := time.Duration(r.Expires); d < time.Minute || d > longest {
		bad("removal.expires", "%s is not between a minute and a year", r.Expires)
	}
}
