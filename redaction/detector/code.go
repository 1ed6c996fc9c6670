package detector

// code are the detectors for version control, package registries and builds.
func code() []Detector {
	return []Detector{
		{
			Name: "github-token", Doc: "GitHub personal, OAuth, app or refresh token",
			// The last six characters are a checksum, which is not asked for: a
			// token with a slip of the pen is as good a hint as a whole one.
			Pattern: `gh[pousr]_[A-Za-z0-9]{36,255}`, Keywords: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, Where: Token,
			Examples:        []string{fake("ghp_", some(36, alnum)), fake("https://x:gho_", some(36, alnum), "@github.com/a/b.git"), fake("ghr_", some(76, alnum))},
			CounterExamples: []string{"ghp_" + some(20, alnum), "xghp_" + some(36, alnum)},
		},
		{
			Name: "github-fine-grained-token", Doc: "GitHub fine-grained personal access token",
			Pattern: `github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}`, Where: Token,
			Examples:        []string{fake("github_pat_", some(22, alnum), "_", some(59, alnum))},
			CounterExamples: []string{"github_pat_" + some(22, alnum)},
		},
		{
			Name: "gitlab-token", Doc: "GitLab token: personal, deploy, runner, trigger, feed, mail, agent, OAuth, SCIM, job",
			Pattern:  `gl(?:pat|dt|rt|rtr|ptt|ft|imt|agent|oas|soat|cbt|ffct|wt)-[\w.-]{19,}[\w-]`,
			Keywords: []string{"glpat-", "gldt-", "glrt-", "glrtr-", "glptt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-", "glcbt-", "glffct-", "glwt-"}, Where: Token,
			Examples:        []string{fake("glpat-", some(20, b64url)), fake("gldt-", some(20, alnum)), fake("glrt-", some(20, alnum)), fake("glptt-", some(40, hexa)), fake("glpat-", some(27, alnum), ".01.", some(9, lower36))},
			CounterExamples: []string{"glpat-abc", "glpat-" + some(10, alnum)},
		},
		{
			Name: "gitlab-runner-registration-token", Doc: "GitLab runner registration token",
			Pattern: `GR1348941[\w-]{20}`, Where: Token,
			Examples:        []string{fake("GR1348941", some(20, alnum))},
			CounterExamples: []string{"GR1348941"},
		},
		{
			Name: "bitbucket-app-password", Doc: "Bitbucket app password",
			Pattern: `ATBB[A-Za-z0-9]{32}`, Where: Token,
			Examples:        []string{fake("ATBB", some(32, alnum))},
			CounterExamples: []string{"ATBB" + some(10, alnum)},
		},
		{
			Name: "atlassian-token", Doc: "Atlassian API token",
			Pattern: `AT(?:ATT|CTT|STT|OTT)3[\w=-]{60,}`, Keywords: []string{"ATATT3", "ATCTT3", "ATSTT3", "ATOTT3"}, Where: Token,
			Examples:        []string{fake("ATATT3", "xFfGF0", some(170, b64url), "=", some(8, hexa))},
			CounterExamples: []string{"ATATT3" + some(10, alnum)},
		},
		{
			Name: "npm-token", Doc: "npm access token",
			Pattern: `npm_[A-Za-z0-9]{36}`, Where: Token, Check: mixed,
			Examples:        []string{fake("npm_", some(36, alnum))},
			CounterExamples: []string{"npm_config_registry", "npm_" + some(20, alnum)},
		},
		{
			Name: "npmrc-auth-token", Doc: "token or password of a registry in .npmrc",
			Pattern: `:_(?:authToken|auth|password)\s{0,2}=\s{0,2}"?([\w.+/=-]{8,})`, Keywords: []string{":_authToken", ":_auth=", ":_auth =", ":_password"}, Where: After,
			Examples:        []string{fake("//registry.example.org/:_authToken=", uuid())},
			CounterExamples: []string{"//registry.npmjs.org/:_authToken=${NPM_TOKEN}"},
		},
		{
			Name: "pypi-token", Doc: "PyPI API token",
			Pattern: `pypi-AgE[\w-]{50,}`, Where: Token,
			Examples:        []string{fake("pypi-", "AgEIcHlwaS5vcmc", some(140, b64url))},
			CounterExamples: []string{"pypi-AgE", "pypi-publish-workflow"},
		},
		{
			Name: "rubygems-api-key", Doc: "RubyGems API key",
			Pattern: `rubygems_[a-f0-9]{48}`, Where: Token,
			Examples:        []string{fake("rubygems_", some(48, hexa))},
			CounterExamples: []string{"rubygems_version"},
		},
		{
			Name: "crates-io-token", Doc: "crates.io API token",
			Pattern: `cio[A-Za-z0-9]{32}`, Where: Token, Check: mixed,
			Examples:        []string{fake("cio", some(32, alnum))},
			CounterExamples: []string{"cio" + some(30, lowers)},
		},
		{
			Name: "nuget-api-key", Doc: "NuGet API key",
			Pattern: `oy2[a-z0-9]{43}`, Where: Token, Check: mixed,
			Examples:        []string{fake("oy2", some(43, lower36))},
			CounterExamples: []string{"oy2" + some(20, lower36)},
		},
		{
			Name: "docker-token", Doc: "Docker Hub personal or organisation access token",
			Pattern: `dckr_[po]at_[\w-]{24,40}`, Keywords: []string{"dckr_pat_", "dckr_oat_"}, Where: Token,
			Examples:        []string{fake("dckr_pat_", some(27, alnum)), fake("dckr_oat_", some(32, alnum))},
			CounterExamples: []string{"dckr_pat_tooshort"},
		},
		{
			Name: "docker-config-auth", Doc: "user and password of a registry in a Docker configuration",
			Pattern: `\\?"auth\\?"\s{0,4}:\s{0,4}\\?"([A-Za-z0-9+/]{8,}={0,2})`, Keywords: []string{`"auth"`, `"auth\"`}, Where: After, Check: basicAuth,
			Examples:        []string{`"https://index.docker.io/v1/": {"auth": "dXNlcjpodW50ZXIyaHVudGVyMg=="}`},
			CounterExamples: []string{`"auth": "` + some(24, lowers) + `"`},
		},
		{
			Name: "artifactory-token", Doc: "JFrog Artifactory API key or reference token",
			Pattern: `AKCp[A-Za-z0-9]{60,80}|cmVmdGtu[A-Za-z0-9]{52,60}`, Keywords: []string{"AKCp", "cmVmdGtu"}, Where: Token,
			Examples:        []string{fake("AKCp", some(69, alnum)), fake("cmVmdGtu", some(56, alnum))},
			CounterExamples: []string{"AKCp" + some(20, alnum)},
		},
		{
			Name: "buildkite-token", Doc: "Buildkite API access token",
			Pattern: `bk(?:ua|pat|ct)_[a-f0-9]{40}`, Keywords: []string{"bkua_", "bkpat_", "bkct_"}, Where: Token,
			Examples:        []string{fake("bkua_", some(40, hexa))},
			CounterExamples: []string{"bkua_" + some(12, hexa)},
		},
		{
			Name: "circleci-token", Doc: "CircleCI personal or project token",
			Pattern: `CCIP(?:AT|RJ)_[A-Za-z0-9]{20,24}_[a-f0-9]{40}`, Keywords: []string{"CCIPAT_", "CCIPRJ_"}, Where: Token,
			Examples:        []string{fake("CCIPAT_", some(22, alnum), "_", some(40, hexa))},
			CounterExamples: []string{"CCIPAT_" + some(22, alnum)},
		},
		{
			Name: "teamcity-token", Doc: "TeamCity access token",
			Pattern: `eyJ0eXAiOiAiVENWMiJ9\.[\w-]{30,}\.[\w-]{30,}`, Keywords: []string{"eyJ0eXAiOiAiVENWMiJ9"}, Where: Token,
			Examples:        []string{fake("eyJ0eXAiOiAi", "VENWMiJ9.", some(36, alnum), ".", some(48, alnum))},
			CounterExamples: []string{"eyJ0eXAiOiAiVENWMiJ9"},
		},
		{
			Name: "sonarqube-token", Doc: "SonarQube or SonarCloud token",
			Pattern: `sq[upa]_[a-f0-9]{40}`, Keywords: []string{"squ_", "sqp_", "sqa_"}, Where: Token,
			Examples:        []string{fake("squ_", some(40, hexa))},
			CounterExamples: []string{"squ_" + some(20, hexa)},
		},
		{
			Name: "sonarqube-login", Doc: "SonarQube token of the old form, after its name",
			Pattern: `(?i)sonar[\w.]{0,10}(?:login|token)` + to + `([a-f0-9]{40})` + end, Keywords: []string{"sonar"}, Where: After,
			Examples:        []string{fake("-Dsonar.login=", some(40, hexa))},
			CounterExamples: []string{"sonarqube-reporter-1.2.4.tgz#" + some(40, hexa)},
		},
		{
			Name: "sourcegraph-token", Doc: "Sourcegraph access token, or Segment public API token",
			Pattern: `sgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}|sgp_[A-Za-z0-9]{64}`, Keywords: []string{"sgp_"}, Where: Token,
			Examples:        []string{fake("sgp_", some(16, hexa), "_", some(40, hexa)), fake("sgp_", some(64, alnum))},
			CounterExamples: []string{"sgp_" + some(16, hexa)},
		},
		{
			Name: "dependency-track-key", Doc: "Dependency-Track API key",
			Pattern: `odt_(?:[A-Za-z0-9]{8}_)?[A-Za-z0-9]{32,36}`, Where: Token, Check: mixed,
			Examples:        []string{fake("odt_", some(32, alnum)), fake("odt_", some(8, alnum), "_", some(32, alnum))},
			CounterExamples: []string{"odt_" + some(20, alnum)},
		},
		{
			Name: "launchdarkly-key", Doc: "LaunchDarkly SDK or API key",
			Pattern: `(?:sdk|api|mob)-` + uuidForm, Keywords: []string{"sdk-", "api-", "mob-"}, Where: Token,
			Examples:        []string{fake("sdk-", uuid()), fake("api-", uuid())},
			CounterExamples: []string{"api-" + some(36, hexa)},
		},
		{
			Name: "postman-api-key", Doc: "Postman API key",
			Pattern: `PMAK-[a-f0-9]{24}-[a-f0-9]{34}`, Where: Token,
			Examples:        []string{fake("PMAK-", some(24, hexa), "-", some(34, hexa))},
			CounterExamples: []string{"PMAK-" + some(24, hexa)},
		},
		{
			Name: "infracost-api-key", Doc: "Infracost API key",
			Pattern: `ico-[A-Za-z0-9]{32}`, Where: Token, Check: mixed,
			Examples:        []string{fake("ico-", some(32, alnum))},
			CounterExamples: []string{"ico-" + some(12, alnum)},
		},
		{
			Name: "prefect-api-key", Doc: "Prefect API key",
			Pattern: `pn[ub]_[A-Za-z0-9]{36}`, Keywords: []string{"pnu_", "pnb_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("pnu_", some(36, alnum))},
			CounterExamples: []string{"pnu_" + some(12, alnum)},
		},
		{
			Name: "django-secret-key", Doc: "secret key that Django made for a new project",
			Pattern:         "django-insecure-[^\\s\"'`]{40,60}",
			Examples:        []string{fake("SECRET_KEY = 'django-insecure-", some(20, lower36), "!%(^+=@", some(23, lower36), "'")},
			CounterExamples: []string{"the prefix django-insecure- is a warning"},
		},
	}
}
