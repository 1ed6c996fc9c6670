package detector

// Parts of patterns.
const (
	// to leads from a name to its value: the rest of the name, quotes, and an
	// operator between.
	to = "[\\w.-]{0,40}[\"'`\\])\\\\]{0,4}\\s{0,4}(?:=>|:=|[:=,>(]|\\s)\\s{0,4}[\\\\\"'`(\\[<]{0,4}"

	// end is where a word of letters and digits ends.
	end = `(?:[^\w/+=-]|$)`

	uuidForm = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`
)

// cloud are the detectors for providers of computers, storage and databases.
func cloud() []Detector {
	return []Detector{
		{
			Name: "aws-access-key-id", Doc: "AWS access key id",
			Pattern: `(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}`, Keywords: []string{"AKIA", "ASIA", "ABIA", "ACCA"}, Where: Token,
			Examples:        []string{fake("AKIA", some(16, base32)), fake("key=ASIA", some(16, base32), ",")},
			CounterExamples: []string{fake("AKIA", some(12, base32)), fake("xAKIA", some(16, base32)), fake("akia", some(16, lowers))},
		},
		{
			Name: "aws-secret-access-key", Doc: "AWS secret access key, after its name",
			Pattern:  `(?i)(?:secret_?access_?key|aws_?secret(?:_?key)?|secret_?key)` + to + `([A-Za-z0-9/+]{40})` + end,
			Keywords: []string{"secretaccesskey", "secret_access_key", "aws_secret", "awssecret", "secretkey", "secret_key"}, Where: After,
			Check:           all(mixed, not(isDigest)),
			Examples:        []string{fake("aws_secret_access_key = ", some(40, b64)), fake(`"SecretAccessKey": "`, some(40, b64), `"`)},
			CounterExamples: []string{"aws_secret_access_key = " + some(20, digits), "secret_key: " + some(40, hexa)},
		},
		{
			Name: "aws-session-token", Doc: "AWS session token",
			Pattern: `(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz)[A-Za-z0-9+/=%]{80,}`, Keywords: []string{"IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz"}, Where: Token,
			Examples:        []string{fake("IQoJb3JpZ2lu", some(300, alnum), "==")},
			CounterExamples: []string{"IQoJb3JpZ2lu" + some(20, alnum)},
		},
		{
			Name: "aws-bedrock-api-key", Doc: "Amazon Bedrock API key",
			Pattern: `ABSK[A-Za-z0-9+/]{100,}={0,2}|bedrock-api-key-[A-Za-z0-9+/=]{80,}`, Keywords: []string{"ABSK", "bedrock-api-key-"}, Where: Token,
			Examples:        []string{fake("ABSK", some(128, alnum), "="), fake("bedrock-api-key-", some(200, alnum))},
			CounterExamples: []string{"bedrock-api-key-rotation-policy", "ABSK" + some(20, alnum)},
		},
		{
			Name: "alibaba-access-key-id", Doc: "Alibaba Cloud access key id",
			Pattern: `LTAI[A-Za-z0-9]{12,26}`, Where: Token, Check: mixed,
			Examples:        []string{fake("LTAI", some(20, alnum))},
			CounterExamples: []string{"LTAI" + some(6, alnum)},
		},
		{
			Name: "tencent-secret-id", Doc: "Tencent Cloud secret id",
			Pattern: `AKID[A-Za-z0-9]{32}`, Where: Token, Check: mixed,
			Examples:        []string{fake("AKID", some(32, alnum))},
			CounterExamples: []string{"AKID" + some(20, alnum)},
		},
		{
			Name: "google-api-key", Doc: "Google API key",
			Pattern: `AIza[\w-]{35}`, Where: Token,
			Examples:        []string{fake("AIza", "Sy", some(33, b64url))},
			CounterExamples: []string{"AIza" + some(20, alnum), "AIza" + some(45, alnum)},
		},
		{
			Name: "google-oauth-access-token", Doc: "Google OAuth 2.0 access token",
			Pattern: `ya29\.[\w.-]{20,}`, Where: Token,
			Examples:        []string{fake("ya29.", "a0", some(120, b64url))},
			CounterExamples: []string{"ya29.short"},
		},
		{
			Name: "google-oauth-refresh-token", Doc: "Google OAuth 2.0 refresh token",
			Pattern: `1//0[\w-]{35,}`, Where: Token, Check: mixed,
			Examples:        []string{fake("1//0", some(90, b64url))},
			CounterExamples: []string{"1//0" + some(10, alnum)},
		},
		{
			Name: "google-oauth-client-secret", Doc: "Google OAuth 2.0 client secret",
			Pattern: `GOCSPX-[\w-]{28}`, Where: Token,
			Examples:        []string{fake("GOCSPX-", some(28, alnum))},
			CounterExamples: []string{"GOCSPX-" + some(12, alnum)},
		},
		{
			Name: "firebase-server-key", Doc: "Firebase Cloud Messaging server key",
			Pattern: `[\w-]{11}:APA91b[\w-]{100,}`, Keywords: []string{":APA91b"},
			Examples:        []string{fake("AAAA", some(7, alnum), ":APA91b", some(134, b64url))},
			CounterExamples: []string{"AAAAxxxxxxx:APA91b" + some(20, alnum)},
		},
		{
			Name: "azure-storage-key", Doc: "Azure storage account or shared access key in a connection string",
			Pattern:  `(?i)(?:Account|SharedAccess|Access)Key\s{0,2}=\s{0,2}["']?([A-Za-z0-9+/]{40,90}={0,2})`,
			Keywords: []string{"AccountKey", "SharedAccessKey", ";AccessKey"}, Where: After, Check: mixed,
			Examples:        []string{fake("AccountName=a;AccountKey=", some(86, b64), "==;EndpointSuffix=core.windows.net"), fake("SharedAccessKey=", some(43, b64), "=")},
			CounterExamples: []string{"SharedAccessKeyName=RootManageSharedAccessKey", "AccountKey=<your key>"},
		},
		{
			Name: "azure-sas-signature", Doc: "signature of an Azure shared access signature",
			Pattern: `(?:[?&;]|amp;|\\u0026|%26)sig=([A-Za-z0-9%/+]{40,90}={0,2})`, Keywords: []string{"sig="}, Check: mixed,
			Examples:        []string{fake("https://a.blob.core.windows.net/c?sv=2022-11-02&sr=b&sig=", some(43, alnum), "%3D&se=2030-01-01")},
			CounterExamples: []string{"https://example.com/?sig=1&x=2"},
		},
		{
			Name: "azure-app-configuration-secret", Doc: "secret in an Azure App Configuration connection string",
			Pattern: `;Secret=([A-Za-z0-9+/]{40,90}={0,2})`, Where: After, Check: mixed,
			Examples:        []string{fake("Endpoint=https://a.azconfig.io;Id=x-l0-s0:", some(20, alnum), ";Secret=", some(43, b64), "=")},
			CounterExamples: []string{"Endpoint=https://a.azconfig.io;Id=1;Secret=no"},
		},
		{
			Name: "azure-client-secret", Doc: "client secret of a Microsoft Entra ID application",
			Pattern:         `[\w.~]{3}[0-9]Q~[\w.~-]{31,34}`,
			Keywords:        []string{"0Q~", "1Q~", "2Q~", "3Q~", "4Q~", "5Q~", "6Q~", "7Q~", "8Q~", "9Q~"},
			Examples:        []string{fake("secret: ", some(3, letters), "8Q~", some(34, alnum))},
			CounterExamples: []string{"abc8Q~" + some(12, alnum)},
		},
		{
			Name: "azure-devops-token", Doc: "Azure DevOps personal access token",
			Pattern: `\b[A-Za-z0-9]{72,80}AZDO[A-Za-z0-9]{4}\b`, Keywords: []string{"AZDO"},
			Examples:        []string{fake(some(76, alnum), "AZDO", some(4, alnum))},
			CounterExamples: []string{some(20, alnum) + "AZDO" + some(4, alnum)},
		},
		{
			Name: "azure-resource-key", Doc: "key of an Azure resource that marks its own kind",
			Pattern:         `\b(?:[A-Za-z0-9]{52}JQQJ9[A-Za-z0-9]{27}|[A-Za-z0-9]{42}AzSe[A-D][A-Za-z0-9]{5}|[\w-]{44}AzFu[\w-]{5}[AQgw]==|[A-Za-z0-9+/]{76}(?:\+ASt|ACDb|\+ABa|\+AMC)[A-Za-z0-9+/]{6}==)`,
			Keywords:        []string{"JQQJ9", "AzSe", "AzFu", "+ASt", "ACDb", "+ABa", "+AMC"},
			Examples:        []string{fake(some(52, alnum), "JQQJ9", some(27, alnum)), fake(some(42, alnum), "AzSe", "A", some(5, alnum)), fake(some(44, alnum), "AzFu", some(5, alnum), "A==")},
			CounterExamples: []string{some(12, alnum) + "AzSeA" + some(5, alnum)},
		},
		{
			Name: "digitalocean-token", Doc: "DigitalOcean access, OAuth or refresh token",
			Pattern: `do[opr]_v1_[a-f0-9]{64}`, Keywords: []string{"doo_v1_", "dop_v1_", "dor_v1_"}, Where: Token,
			Examples:        []string{fake("dop_v1_", some(64, hexa))},
			CounterExamples: []string{"dop_v1_" + some(30, hexa)},
		},
		{
			Name: "heroku-token", Doc: "Heroku API key or token",
			Pattern: `HRKU-[\w-]{30,80}`, Where: Token,
			Examples:        []string{fake("HRKU-AA", some(58, b64url))},
			CounterExamples: []string{"HRKU-" + some(10, alnum)},
		},
		{
			Name: "heroku-api-key", Doc: "Heroku API key of the old form, a UUID, after its name",
			Pattern: `(?i)heroku[\w.-]{0,20}(?:key|token|secret|password)` + to + `(` + uuidForm + `)`, Keywords: []string{"heroku"}, Where: After,
			Examples:        []string{fake("HEROKU_API_KEY: ", uuid())},
			CounterExamples: []string{"https://kolkrabbi.heroku.com/apps/" + uuid() + "/github"},
		},
		{
			Name: "cloudflare-token", Doc: "Cloudflare API key or token",
			Pattern: `cf(?:k|ut|at)_[A-Za-z0-9]{40,56}`, Keywords: []string{"cfk_", "cfut_", "cfat_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("cfut_", some(48, alnum)), fake("cfk_", some(48, alnum))},
			CounterExamples: []string{"cfat_" + some(12, alnum)},
		},
		{
			Name: "cloudflare-old-token", Doc: "Cloudflare API key or token of the old form, after its name",
			Pattern: `(?i)(?:cloudflare|cf_api|cf-api)[\w.-]{0,30}(?:key|token|secret)` + to + `([\w-]{40}|[a-f0-9]{37})` + end, Keywords: []string{"cloudflare", "cf_api", "cf-api"}, Where: After,
			Check:           mixed,
			Examples:        []string{fake("CLOUDFLARE_API_TOKEN=", some(40, alnum))},
			CounterExamples: []string{"cloudflare_api_token = var.cloudflare_api_token"},
		},
		{
			Name: "cloudflare-origin-key", Doc: "Cloudflare Origin CA key",
			Pattern: `v1\.0-[a-f0-9]{24}-[a-f0-9]{146}`, Keywords: []string{"v1.0-"}, Where: Token,
			Examples:        []string{fake("v1.0-", some(24, hexa), "-", some(146, hexa))},
			CounterExamples: []string{"v1.0-" + some(24, hexa)},
		},
		{
			Name: "fastly-token", Doc: "Fastly API token, after its name",
			Pattern: `(?i)fastly[\w.-]{0,30}(?:key|token)` + to + `([\w-]{32})` + end, Keywords: []string{"fastly"}, Where: After, Check: mixed,
			Examples:        []string{fake("FASTLY_API_TOKEN=", some(32, alnum)), fake("Fastly-Key: ", some(32, alnum))},
			CounterExamples: []string{"fastly_token = fetch_the_token_from_the_vault()"},
		},
		{
			Name: "vercel-token", Doc: "Vercel token",
			Pattern: `vc[piark]_[A-Za-z0-9]{24,80}`, Keywords: []string{"vcp_", "vci_", "vca_", "vcr_", "vck_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("vcp_", some(56, alnum)), fake("vck_", some(56, alnum))},
			CounterExamples: []string{"vcp_abc"},
		},
		{
			Name: "netlify-token", Doc: "Netlify personal access token",
			Pattern: `nf[pcoub]_[A-Za-z0-9]{36,40}`, Keywords: []string{"nfp_", "nfc_", "nfo_", "nfu_", "nfb_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("nfp_", some(36, alnum))},
			CounterExamples: []string{"nfp_" + some(12, alnum)},
		},
		{
			Name: "fly-token", Doc: "Fly.io access token",
			Pattern: `fo1_[\w-]{43}|fm[12][ar]?_[A-Za-z0-9+/=]{100,}`, Keywords: []string{"fo1_", "fm1_", "fm2_", "fm1a_", "fm1r_"}, Where: Token, Check: mixed,
			Examples:        []string{fake("fo1_", some(43, b64url)), fake("FlyV1 fm2_", some(200, alnum))},
			CounterExamples: []string{"fo1_" + some(12, alnum)},
		},
		{
			Name: "render-api-key", Doc: "Render API key",
			Pattern: `rnd_[A-Za-z0-9]{28,40}`, Where: Token, Check: mixed,
			Examples:        []string{fake("rnd_", some(32, alnum))},
			CounterExamples: []string{"rnd_" + some(8, alnum)},
		},
		{
			Name: "supabase-key", Doc: "Supabase access token or secret key",
			Pattern: `sbp_(?:oauth_)?[a-f0-9]{40}|sb_secret_[\w-]{31,44}`, Keywords: []string{"sbp_", "sb_secret_"}, Where: Token,
			Examples:        []string{fake("sbp_", some(40, hexa)), fake("sb_secret_", some(31, alnum))},
			CounterExamples: []string{"sbp_" + some(12, hexa), "sb_publishable_" + some(31, alnum)},
		},
		{
			Name: "planetscale-token", Doc: "PlanetScale password, service or OAuth token",
			Pattern: `pscale_(?:tkn|pw|oauth)_[\w.-]{32,64}`, Keywords: []string{"pscale_tkn_", "pscale_pw_", "pscale_oauth_"}, Where: Token,
			Examples:        []string{fake("pscale_pw_", some(43, alnum)), fake("pscale_tkn_", some(43, alnum))},
			CounterExamples: []string{"pscale_pw_short"},
		},
		{
			Name: "neon-api-key", Doc: "Neon API key",
			Pattern: `napi_[a-z0-9]{60,68}`, Where: Token, Check: mixed,
			Examples:        []string{fake("napi_", some(64, lower36))},
			CounterExamples: []string{"napi_create_object"},
		},
		{
			Name: "mongodb-atlas-secret", Doc: "MongoDB Atlas service account secret",
			Pattern: `mdb_sa_sk_[\w-]{36,48}`, Where: Token,
			Examples:        []string{fake("mdb_sa_sk_", some(40, b64url))},
			CounterExamples: []string{"mdb_sa_sk_" + some(8, alnum)},
		},
		{
			Name: "databricks-token", Doc: "Databricks personal access token",
			Pattern: `dapi[a-f0-9]{32}(?:-\d{1,2})?`, Where: Token,
			Examples:        []string{fake("dapi", some(32, hexa)), fake("dapi", some(32, hexa), "-2")},
			CounterExamples: []string{"dapi" + some(20, hexa)},
		},
		{
			Name: "confluent-secret", Doc: "Confluent Cloud API secret",
			Pattern: `cflt[A-Za-z0-9+/]{60}`, Where: Token, Check: mixed,
			Examples:        []string{fake("cflt", some(60, alnum))},
			CounterExamples: []string{"cflt" + some(20, alnum)},
		},
	}
}
