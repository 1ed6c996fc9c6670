package config

import "time"

// Producers says how patient the server is with producers (docs/producers.md).
type Producers struct {
	Grace   Duration `yaml:"grace"`   // how long an event may be under way until its number is missing
	Silence int      `yaml:"silence"` // after how many intervals without a heartbeat a producer is silent
}

func defaultProducers() Producers { return Producers{Grace: Duration(10 * time.Second), Silence: 3} }

// validate says what is wrong.
func (p *Producers) validate(bad complain) {
	if d := time.Duration(p.Grace); d < 10*time.Millisecond || d > 24*time.Hour {
		bad("producers.grace", "%s is not between 10ms and 24h", p.Grace)
	}
	if p.Silence < 1 || p.Silence > 50 {
		bad("producers.silence", "%d is not between 1 and 50 intervals", p.Silence)
	}
}
