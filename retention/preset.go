package retention

// Preset is a policy with the periods that a published text names. It makes no
// claim about what the text asks for beside them.
type Preset struct {
	Name    string // for the member preset of a file, and the name of the policy
	Purpose string // what the text says
	Policy  Policy
}

// Presets returns the presets. A month or year is counted as the longest that it
// can be: six months are 184 days, 12 months 366 and 6 years 2,192.
func Presets() []Preset {
	preset := func(name, purpose string, payloads, floor int) Preset {
		return Preset{name, purpose, Policy{
			Name:     name,
			Payloads: Period{Days: payloads},
			Entries:  Period{Forever: true},
			Floor:    Period{Days: floor},
		}}
	}
	return []Preset{
		preset("high-risk-ai-logs", "Regulation (EU) 2024/1689 (AI Act), Articles 19(1) and 26(6): providers and deployers of high-risk AI systems keep automatically generated logs for at least six months, unless other law provides otherwise.", 400, 184),
		preset("payment-card-audit-logs", "PCI DSS v4, requirement 10.5.1: audit log history is retained for at least 12 months, the most recent three months immediately available for analysis.", 400, 366),
		preset("health-security-documentation", "45 CFR 164.316(b)(2)(i) (HIPAA): the documentation that paragraph (b)(1) requires is retained for 6 years from its creation or from when it last was in effect, whichever is later.", 2192, 2192),
	}
}
