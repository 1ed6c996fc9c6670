package detector

// operations are the detectors for monitoring, secret stores and identity.
func operations() []Detector {
	return []Detector{
		{
			Name: "custody-token", Doc: "API token of a Custody server",
			Pattern: `cst_[0-9a-f]{8}_[A-Za-z0-9_-]{43}`, Where: Token,
			Examples:        []string{fake("cst_", some(8, hexa), "_", some(43, b64url)), fake("Authorization: Bearer cst_", some(8, hexa), "_", some(43, alnum))},
			CounterExamples: []string{"cst_" + some(8, hexa), "cst_" + some(8, hexa) + "_" + some(20, alnum), "cst_" + some(8, "GHIJ") + "_" + some(43, alnum)},
		},
		{
			Name: "grafana-token", Doc: "Grafana Cloud or service account token",
			Pattern: `glc_[A-Za-z0-9+/]{32,400}={0,3}|glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}`, Keywords: []string{"glc_", "glsa_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("glsa_", some(32, alnum), "_", some(8, hexa)), fake("glc_", "eyJ", some(80, alnum), "==")},
			CounterExamples: []string{"glc_short", "glsa_" + some(12, alnum)},
		},
		{
			Name: "grafana-api-key", Doc: "Grafana API key of the old form",
			Pattern: `eyJrIjoi[A-Za-z0-9]{60,400}={0,3}`, Keywords: []string{"eyJrIjoi"}, Where: Token,
			Examples:        []string{fake("eyJrIjoi", some(80, alnum), "==")},
			CounterExamples: []string{"eyJrIjoi" + some(12, alnum)},
		},
		{
			Name: "sentry-token", Doc: "Sentry organisation or user auth token",
			Pattern: `sntrys_eyJ[A-Za-z0-9+/=_]{80,}|sntryu_[a-f0-9]{64}`, Keywords: []string{"sntrys_", "sntryu_"}, Where: Token,
			Examples:        []string{fake("sntryu_", some(64, hexa)), fake("sntrys_", "eyJ", some(120, alnum), "=_", some(43, alnum))},
			CounterExamples: []string{"sntryu_" + some(12, hexa)},
		},
		{
			Name: "new-relic-key", Doc: "New Relic user, insert, query, REST or admin key",
			Pattern:  `NRAK-[A-Z0-9]{27}|NRII-[\w-]{32}|NRIQ-[\w-]{32}|NRAA-[a-f0-9]{27}|NRRA-[a-f0-9]{42}`,
			Keywords: []string{"NRAK-", "NRII-", "NRIQ-", "NRAA-", "NRRA-"}, Where: Token,
			Examples:        []string{fake("NRAK-", some(27, upper36)), fake("NRII-", some(32, b64url)), fake("NRRA-", some(42, hexa)), fake("NRAA-", some(27, hexa)), fake("NRIQ-", some(32, alnum))},
			CounterExamples: []string{"NRAK-" + some(12, upper36), "NRJS-" + some(19, hexa)},
		},
		{
			Name: "new-relic-license-key", Doc: "New Relic licence key",
			Pattern: `\b(?:eu01xx)?[a-f0-9]{30,36}(?:FFFF)?NRAL\b`, Keywords: []string{"NRAL"},
			Examples:        []string{fake("license_key: ", some(36, hexa), "NRAL"), fake("eu01xx", some(30, hexa), "NRAL")},
			CounterExamples: []string{some(12, hexa) + "NRAL"},
		},
		{
			Name: "new-relic-old-license-key", Doc: "New Relic licence key of the old form, after its name",
			Pattern: `(?i)license_?key` + to + `([a-f0-9]{40})` + end, Keywords: []string{"license_key", "licensekey"}, Where: After,
			Examples:        []string{fake("license_key: ", some(40, hexa))},
			CounterExamples: []string{`license_key: '<%= ENV["NEW_RELIC_LICENSE_KEY"] %>'`},
		},
		{
			Name: "new-relic-pixie-key", Doc: "New Relic Pixie API or deploy key",
			Pattern: `px-(?:api|dep)-` + uuidForm, Keywords: []string{"px-api-", "px-dep-"}, Where: Token,
			Examples:        []string{fake("px-api-", uuid()), fake("px-dep-", uuid())},
			CounterExamples: []string{"px-api-a1b2c3d4-e5f6-g7h8-i8j0-k0l3m3n4o0p5"},
		},
		{
			Name: "datadog-key", Doc: "Datadog API or application key, after its name",
			Pattern: `(?i)(?:datadog|dd[_-](?:api|app|application))[\w.-]{0,30}(?:key|token)` + to + `([a-f0-9]{32}|[a-f0-9]{40})` + end, Keywords: []string{"datadog", "dd_api", "dd-api", "dd_app", "dd-app"}, Where: After,
			Examples:        []string{fake("DD_API_KEY=", some(32, hexa)), fake(`"DD-APPLICATION-KEY": "`, some(40, hexa), `"`)},
			CounterExamples: []string{"datadog/agent@sha256:" + some(64, hexa)},
		},
		{
			Name: "dynatrace-token", Doc: "Dynatrace access, platform or OAuth token",
			Pattern: `dt0[a-z]\d\d\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}`, Keywords: []string{"dt0c", "dt0s"}, Where: Token,
			Examples:        []string{fake("dt0c01.", some(24, base32), ".", some(64, base32))},
			CounterExamples: []string{"dt0c01." + some(24, base32)},
		},
		{
			Name: "honeycomb-key", Doc: "Honeycomb ingest key",
			Pattern: `hc[a-z]i[ck]_[a-z0-9]{58}`, Keywords: []string{"hcaik_", "hcbik_", "hcxik_", "hcaic_"}, Where: Token,
			Examples:        []string{fake("hcaik_", some(58, lower36))},
			CounterExamples: []string{"hcaik_" + some(12, lower36)},
		},
		{
			Name: "posthog-api-key", Doc: "PostHog personal API key",
			Pattern: `phx_[A-Za-z0-9]{40,60}`, Where: Token, Check: mixed,
			Examples:        []string{fake("phx_", some(43, alnum))},
			CounterExamples: []string{"phc_" + some(43, alnum), "phx_" + some(12, alnum)},
		},
		{
			Name: "vault-token", Doc: "HashiCorp Vault service, batch or recovery token",
			Pattern: `hv[sbr]\.[\w-]{24,}`, Keywords: []string{"hvs.", "hvb.", "hvr."}, Where: Token,
			Examples:        []string{fake("hvs.", some(95, b64url)), fake("hvb.", some(140, b64url))},
			CounterExamples: []string{"hvs.short"},
		},
		{
			Name: "terraform-token", Doc: "HCP Terraform API token",
			Pattern: `\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,70}`, Keywords: []string{".atlasv1."},
			Examples:        []string{fake(some(14, alnum), ".atlasv1.", some(67, alnum))},
			CounterExamples: []string{some(14, alnum) + ".atlasv1." + some(12, alnum)},
		},
		{
			Name: "pulumi-token", Doc: "Pulumi access token",
			Pattern: `pul-[a-f0-9]{40}`, Where: Token,
			Examples:        []string{fake("pul-", some(40, hexa))},
			CounterExamples: []string{"pul-" + some(12, hexa)},
		},
		{
			Name: "doppler-token", Doc: "Doppler CLI, personal, service, SCIM or audit token",
			Pattern:  `dp\.(?:(?:ct|pt|sa|said|scim|audit)\.|st\.(?:[\w-]{2,35}\.)?)[A-Za-z0-9]{40,44}`,
			Keywords: []string{"dp.ct.", "dp.pt.", "dp.sa.", "dp.said.", "dp.scim.", "dp.audit.", "dp.st."}, Where: Token,
			Examples:        []string{fake("dp.pt.", some(43, alnum)), fake("dp.st.dev.", some(43, alnum)), fake("dp.audit.", some(43, alnum))},
			CounterExamples: []string{"dp.pt.short", "dp.st.dev"},
		},
		{
			Name: "onepassword-service-token", Doc: "1Password service account token",
			Pattern: `ops_eyJ[\w-]{200,}={0,3}`, Keywords: []string{"ops_eyJ"}, Where: Token,
			Examples:        []string{fake("ops_", "eyJ", some(600, b64url))},
			CounterExamples: []string{"ops_DUMMY" + some(60, alnum), "ops_eyJ" + some(20, alnum)},
		},
		{
			Name: "onepassword-secret-key", Doc: "1Password secret key",
			Pattern: `A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}`, Keywords: []string{"A3-"}, Where: Token,
			Examples:        []string{fake("A3-", some(6, upper36), "-", some(6, upper36), "-", some(5, upper36), "-", some(5, upper36), "-", some(5, upper36), "-", some(5, upper36))},
			CounterExamples: []string{"A3-" + some(6, upper36) + "-" + some(6, upper36)},
		},
		{
			Name: "okta-api-token", Doc: "Okta API token, after its name or scheme",
			Pattern: `(?i)(?:okta[\w.-]{0,30}(?:key|token|secret)(?:` + to + `|["'\s{]{1,8}default\s{0,4}=\s{0,4}["']?)|SSWS\s{1,4})(00[\w-]{40})(?:[^\w-]|$)`, Keywords: []string{"okta", "ssws "}, Where: After,
			Examples:        []string{fake("okta_api_token = 00", some(40, b64url)), fake("Authorization: SSWS 00", some(40, alnum))},
			CounterExamples: []string{"okta.example.org/app/" + some(42, alnum)},
		},
		{
			Name: "auth0-client-secret", Doc: "Auth0 client secret, after its name",
			Pattern: `(?i)auth0[\w.-]{0,30}secret` + to + `([\w-]{64,})` + end, Keywords: []string{"auth0"}, Where: After, Check: mixed,
			Examples:        []string{fake("AUTH0_CLIENT_SECRET='", some(64, b64url), "'")},
			CounterExamples: []string{"AUTH0_DOMAIN=dev-" + some(16, lower36) + ".us.auth0.com"},
		},
		{
			Name: "elastic-key", Doc: "Elastic API key",
			Pattern: `essu_[A-Za-z0-9+/]{40,}={0,2}`, Keywords: []string{"essu_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("essu_", some(60, alnum), "==")},
			CounterExamples: []string{"essu_" + some(8, alnum)},
		},
	}
}
