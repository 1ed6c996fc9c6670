package retention

import (
	"fmt"
	"strings"
)

// Preset is a policy that is often wanted. That a text asks for a period does not
// make a trail that has it one that complies with the text.
type Preset struct {
	Name    string
	Purpose string
	Policy  Policy
}

// Presets returns the presets, the shortest period first.
func Presets() []Preset {
	preset := func(name, purpose string, keep, floor int) Preset {
		return Preset{name, purpose, Policy{Name: name, Payloads: Period{Days: keep}, Floor: Period{Days: floor}}}
	}
	return []Preset{
		preset("ai-act-logs", "At least six months, as Articles 19 and 26(6) of Regulation (EU) 2024/1689 ask for the logs of high-risk AI systems", 400, 184),
		preset("payment-card-logs", "At least twelve months, as requirement 10.5.1 of PCI DSS 4.0 asks for audit logs", 400, 366),
		preset("health-records", "Six years, as 45 CFR 164.316(b)(2)(i) asks for documentation", 2192, 2192),
	}
}

// FindPreset returns the preset with that name.
func FindPreset(name string) (Preset, error) {
	var names []string
	for _, p := range Presets() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Preset{}, fmt.Errorf("%q is not known; there are %s", name, strings.Join(names, ", "))
}
