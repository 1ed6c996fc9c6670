package detector

// saas are the detectors for applications that are rented over the network.
func saas() []Detector {
	return []Detector{
		{
			Name: "linear-api-key", Doc: "Linear API key",
			Pattern: `lin_(?:api|oauth)_[A-Za-z0-9]{40,64}`, Keywords: []string{"lin_api_", "lin_oauth_"}, Where: Token,
			Examples:        []string{fake("lin_api_", some(40, alnum))},
			CounterExamples: []string{"lin_api_" + some(12, alnum)},
		},
		{
			Name: "notion-token", Doc: "Notion integration token",
			Pattern: `ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43}`, Keywords: []string{"ntn_", "secret_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("ntn_", some(46, alnum)), fake("secret_", some(43, alnum))},
			CounterExamples: []string{"secret_" + some(20, alnum), "ntn_" + some(10, alnum)},
		},
		{
			Name: "figma-token", Doc: "Figma personal access token",
			Pattern: `fig[douh]{1,2}_[\w-]{38,}`, Keywords: []string{"figd_", "figo_", "figu_", "figh_", "figdh_", "figoh_", "figuh_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("figd_", some(40, b64url))},
			CounterExamples: []string{"figd_abc"},
		},
		{
			Name: "figma-old-token", Doc: "Figma personal access token of the old form, after its name",
			Pattern: `(?i)figma[\w.-]{0,20}` + to + `(\d{4,6}-` + uuidForm + `)`, Keywords: []string{"figma"}, Where: After,
			Examples:        []string{fake("X-Figma-Token: 1234-", uuid())},
			CounterExamples: []string{"https://www.figma.com/file/" + uuid()},
		},
		{
			Name: "airtable-token", Doc: "Airtable personal access token",
			Pattern: `pat[A-Za-z0-9]{14}\.[a-f0-9]{64}`, Where: Token, Keywords: []string{"pat"},
			Examples:        []string{fake("pat", some(14, alnum), ".", some(64, hexa))},
			CounterExamples: []string{"pat" + some(14, alnum) + "." + some(20, hexa)},
		},
		{
			Name: "hubspot-token", Doc: "HubSpot private app token",
			Pattern: `pat-(?:na|eu|ap)\d-` + uuidForm, Keywords: []string{"pat-na", "pat-eu", "pat-ap"}, Where: Token,
			Examples:        []string{fake("pat-na1-", uuid())},
			CounterExamples: []string{"pat-na1-" + some(12, hexa)},
		},
		{
			Name: "algolia-api-key", Doc: "Algolia API key, after its name",
			Pattern: `(?i)algolia[\w.-]{0,30}(?:key|token)` + to + `([a-f0-9]{32})` + end, Keywords: []string{"algolia"}, Where: After,
			Examples:        []string{fake("ALGOLIA_ADMIN_KEY=", some(32, hexa)), fake("X-Algolia-API-Key: ", some(32, hexa))},
			CounterExamples: []string{"algolia index " + some(32, hexa)},
		},
		{
			Name: "facebook-access-token", Doc: "Facebook or Instagram access token",
			Pattern: `EAA[A-Za-z0-9]{90,}`, Where: Token, Check: mixed,
			Examples:        []string{fake("EAA", some(160, alnum))},
			CounterExamples: []string{"EAA" + some(30, alnum)},
		},
		{
			Name: "facebook-app-secret", Doc: "Facebook app secret, after its name",
			Pattern: `(?i)(?:facebook|fb|instagram)[\w.-]{0,20}secret` + to + `([a-f0-9]{32})` + end, Keywords: []string{"facebook", "fb_", "fbapp", "instagram"}, Where: After,
			Examples:        []string{fake("FACEBOOK_APP_SECRET=", some(32, hexa))},
			CounterExamples: []string{"facebook/react@" + some(32, hexa)},
		},
		{
			Name: "twitter-bearer-token", Doc: "X (Twitter) bearer token",
			Pattern: `A{18,}[A-Za-z0-9]{6,20}(?:%[0-9A-F]{2}|[A-Za-z0-9+/]){0,20}(?:%3D|=)[A-Za-z0-9%]{30,}`, Keywords: []string{"AAAAAAAAAAAAAAAAAA"}, Where: Token,
			Examples:        []string{fake("AAAAAAAAAAAAAAAAAAAAA", some(12, alnum), "%2FAAA", "%3D", some(50, alnum))},
			CounterExamples: []string{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		},
		{
			Name: "twitter-secret", Doc: "X (Twitter) API or access token secret, after its name",
			Pattern: `(?i)twitter[\w.-]{0,30}secret` + to + `([A-Za-z0-9]{35,50})` + end, Keywords: []string{"twitter"}, Where: After, Check: mixed,
			Examples:        []string{fake("TWITTER_API_SECRET = '", some(42, alnum), "'"), fake("TWITTER_ACCESS_TOKEN_SECRET=", some(45, alnum))},
			CounterExamples: []string{"twitter_secret = " + some(40, letters)},
		},
		{
			Name: "linkedin-secret", Doc: "LinkedIn client secret",
			Pattern: `(?i)linkedin[\w.-]{0,30}secret` + to + `([A-Za-z0-9]{16})` + end + `|WPL_AP[01]\.[A-Za-z0-9]{16}\.[A-Za-z0-9+/=]{8}`, Keywords: []string{"linkedin"}, Where: After, Check: mixed,
			Examples:        []string{fake("LINKEDIN_SECRET = \"", some(16, alnum), "\"")},
			CounterExamples: []string{"linkedin_secret = " + some(16, letters)},
		},
		{
			Name: "dropbox-token", Doc: "Dropbox short-lived access token",
			Pattern: `sl\.(?:u\.)?[\w-]{120,}`, Keywords: []string{"sl."}, Where: Token, Check: mixed,
			Examples:        []string{fake("sl.", some(138, b64url)), fake("sl.u.", some(400, b64url))},
			CounterExamples: []string{"sl." + some(40, alnum)},
		},
		{
			Name: "salesforce-token", Doc: "Salesforce access token (session id)",
			Pattern: `00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?![\w.]{80,140}`, Keywords: []string{"00D"}, Where: Token,
			Examples:        []string{fake("00D", some(12, alnum), "!", some(96, alnum))},
			CounterExamples: []string{"00D" + some(12, alnum)},
		},
		{
			Name: "mapbox-secret-token", Doc: "Mapbox secret access token",
			Pattern: `sk\.eyJ[\w-]{50,}\.[\w-]{20,}`, Keywords: []string{"sk.eyJ"}, Where: Token,
			Examples:        []string{fake("sk.", "eyJ", some(70, alnum), ".", some(22, alnum))},
			CounterExamples: []string{"pk." + some(70, alnum) + "." + some(22, alnum)},
		},
		{
			Name: "typeform-token", Doc: "Typeform personal access token",
			Pattern: `tfp_[\w-]{40,70}`, Where: Token, Check: mixed,
			Examples:        []string{fake("tfp_", some(44, alnum), "_", some(14, alnum))},
			CounterExamples: []string{"tfp_" + some(12, alnum)},
		},
		{
			Name: "readme-api-key", Doc: "ReadMe API key",
			Pattern: `rdme_[a-z0-9]{70}`, Where: Token,
			Examples:        []string{fake("rdme_", "xn8s9h", some(64, hexa))},
			CounterExamples: []string{"rdme_" + some(12, lower36)},
		},
		{
			Name: "contentful-token", Doc: "Contentful personal access token",
			Pattern: `CFPAT-[\w-]{43}`, Where: Token,
			Examples:        []string{fake("CFPAT-", some(43, b64url))},
			CounterExamples: []string{"CFPAT-" + some(12, alnum)},
		},
		{
			Name: "clickup-token", Doc: "ClickUp personal API token",
			Pattern: `pk_\d{5,10}_[A-Z0-9]{32}`, Keywords: []string{"pk_"}, Where: Token,
			Examples:        []string{fake("pk_", some(8, digits), "_", some(32, upper36))},
			CounterExamples: []string{"pk_" + some(8, digits)},
		},
		{
			Name: "asana-token", Doc: "Asana personal access token",
			Pattern: `[12]/\d{12,20}(?:/\d{12,20})?:[a-f0-9]{32}\b`, Keywords: []string{"1/1", "2/1"}, Where: Token,
			Examples:        []string{fake("2/1", some(15, digits), "/1", some(15, digits), ":", some(32, hexa))},
			CounterExamples: []string{"1/12"},
		},
		{
			Name: "frameio-token", Doc: "Frame.io developer token",
			Pattern: `fio-u-[\w-]{64}`, Where: Token,
			Examples:        []string{fake("fio-u-", some(64, b64url))},
			CounterExamples: []string{"fio-u-" + some(12, alnum)},
		},
		{
			Name: "adafruit-io-key", Doc: "Adafruit IO key",
			Pattern: `aio_[A-Za-z0-9]{28}`, Where: Token, Check: mixed,
			Examples:        []string{fake("aio_", some(28, alnum))},
			CounterExamples: []string{"aio_" + some(12, alnum), "aio_pika_connection"},
		},
		{
			Name: "thingsboard-token", Doc: "ThingsBoard device access token in an address",
			Pattern: `thingsboard\.(?:cloud|io)(?::\d{2,5})?/api/v1/([a-z0-9]{20})/`, Keywords: []string{"thingsboard"}, Where: After,
			Examples:        []string{fake("https://thingsboard.cloud/api/v1/", some(20, lower36), "/telemetry")},
			CounterExamples: []string{"https://thingsboard.io/docs/reference/python-client-sdk/"},
		},
	}
}
