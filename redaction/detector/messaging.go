package detector

// messaging are the detectors for chat and mail.
func messaging() []Detector {
	return []Detector{
		{
			Name: "slack-token", Doc: "Slack bot, user, app, refresh or configuration token",
			Pattern:  `xox[abeoprs](?:\.xox[bp])?-[\w-]{10,}|xapp-\d-[A-Z0-9]{8,}-\d{8,}-[a-f0-9]{40,}`,
			Keywords: []string{"xoxa-", "xoxb-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"}, Where: Token, Check: mixed,
			Examples:        []string{fake("xox", "b-", some(12, digits), "-", some(12, digits), "-", some(24, alnum)), fake("xapp-", "1-A", some(10, upper36), "-", some(13, digits), "-", some(64, hexa)), fake("xoxe.", "xoxp-1-", some(60, alnum))},
			CounterExamples: []string{"xoxb-your-token", "xoxb-token"},
		},
		{
			Name: "slack-webhook", Doc: "Slack incoming webhook or workflow trigger",
			Pattern: `hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/([A-Za-z0-9]{8,}/[A-Za-z0-9/]{16,})`, Keywords: []string{"hooks.slack"}, Where: After,
			Examples:        []string{fake("https://hooks.slack.com/", "services/T", some(8, upper36), "/B", some(8, upper36), "/", some(24, alnum))},
			CounterExamples: []string{"https://hooks.slack.com/services/", "see https://api.slack.com/messaging/webhooks"},
		},
		{
			Name: "discord-bot-token", Doc: "Discord bot token",
			// The first part is the id of the bot, a number, in base64.
			Pattern: `(?i)(?:discord|bot)[\w.-]{0,20}(?:token|[_ ]key|bot|login)?` + to + `((?-i:[MNO][A-Za-z\d]{23,27}\.[\w-]{6}\.[\w-]{27,40}))`, Keywords: []string{"discord", "bot_token", "bot token", "bottoken", "bot "}, Where: After,
			Examples:        []string{fake("DISCORD_TOKEN=M", some(23, alnum), ".", some(6, alnum), ".", some(38, alnum)), fake("Authorization: Bot N", some(23, alnum), ".G", some(5, alnum), ".", some(38, alnum))},
			CounterExamples: []string{"discord token = process.env.DISCORD_TOKEN"},
		},
		{
			Name: "discord-webhook", Doc: "Discord webhook",
			Pattern: `discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/(\d{17,20}/[\w-]{60,80})`, Keywords: []string{"discord.com/api/", "discordapp.com/api/"}, Where: After,
			Examples:        []string{fake("https://discord.com/api/webhooks/", some(18, digits), "/", some(68, b64url))},
			CounterExamples: []string{"https://discord.com/api/webhooks/" + some(18, digits)},
		},
		{
			Name: "telegram-bot-token", Doc: "Telegram bot token",
			Pattern: `(?:\b|bot)(\d{8,10}:AA[\w-]{32,34})` + `(?:[^\w-]|$)`, Keywords: []string{":AA"},
			Examples:        []string{fake(some(10, digits), ":AA", some(33, b64url)), fake("https://api.telegram.org/bot", some(10, digits), ":AA", some(33, alnum), "/getMe")},
			CounterExamples: []string{"12345678:AAAA", some(10, digits) + ":AA" + some(50, alnum)},
		},
		{
			Name: "teams-webhook", Doc: "Microsoft Teams incoming webhook",
			Pattern: `(?:outlook\.office|\.webhook\.office)\.com/webhook(?:b2)?/(` + uuidForm + `@` + uuidForm + `/IncomingWebhook/[a-f0-9]{32}/` + uuidForm + `(?:/[\w-]{20,60})?)`, Keywords: []string{"office.com/webhook"},
			Examples:        []string{fake("https://a.webhook.office.com/webhookb2/", uuid(), "@", uuid(), "/Incoming", "Webhook/", some(32, hexa), "/", uuid())},
			CounterExamples: []string{"https://outlook.office.com/webhook/" + uuid()},
		},
		{
			Name: "twilio-api-key", Doc: "Twilio API key",
			Pattern: `SK[a-f0-9]{32}`, Keywords: withHex("SK"), Where: Token,
			Examples:        []string{fake("SK", some(32, hexa))},
			CounterExamples: []string{"SK" + some(20, hexa), "AC" + some(32, hexa)},
		},
		{
			Name: "twilio-auth-token", Doc: "Twilio auth token or API key secret, after its name",
			Pattern: `(?i)twilio[\w.-]{0,20}(?:token|secret|api[_.-]?key)` + to + `([a-f0-9]{32}|(?-i:[A-Za-z0-9]{32}))` + end, Keywords: []string{"twilio"}, Where: After, Check: mixed,
			Examples:        []string{fake("TWILIO_AUTH_TOKEN=", some(32, hexa)), fake("const twilioApiKeySecret = '", some(32, alnum), "'")},
			CounterExamples: []string{"TWILIO_AUTH_TOKEN=process.env.TWILIO_AUTH_TOKEN_PRODUCTION"},
		},
		{
			Name: "sendgrid-api-key", Doc: "SendGrid API key",
			Pattern: `SG\.[\w-]{20,24}\.[\w-]{39,50}`, Keywords: []string{"SG."}, Where: Token, Check: mixed,
			Examples:        []string{fake("SG.", some(22, b64url), ".", some(42, alnum), "x")},
			CounterExamples: []string{"SG." + some(22, alnum)},
		},
		{
			Name: "mailgun-api-key", Doc: "Mailgun API key",
			Pattern: `key-[a-f0-9]{32}`, Where: Token,
			Examples:        []string{fake("key-", some(32, hexa))},
			CounterExamples: []string{"key-" + some(20, hexa), "monkey-" + some(32, hexa)},
		},
		{
			Name: "mailgun-key", Doc: "Mailgun key of the new form, after its name",
			Pattern: `(?i)mailgun[\w.-]{0,30}` + to + `([a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8})` + end, Keywords: []string{"mailgun"}, Where: After,
			Examples:        []string{fake("MAILGUN_API_KEY=", some(32, hexa), "-", some(8, hexa), "-", some(8, hexa))},
			CounterExamples: []string{"MAILGUN_DOMAIN=mg.example.org"},
		},
		{
			Name: "mailchimp-api-key", Doc: "Mailchimp API key",
			Pattern: `\b[a-f0-9]{32}-us\d{1,2}\b`, Keywords: []string{"-us1", "-us2", "-us3", "-us4", "-us5", "-us6", "-us7", "-us8", "-us9"},
			Examples:        []string{fake(some(32, hexa), "-us", "14")},
			CounterExamples: []string{"cluster-us1", some(20, hexa) + "-us14"},
		},
		{
			Name: "mandrill-api-key", Doc: "Mailchimp Transactional (Mandrill) API key",
			Pattern: `md-[\w-]{22}`, Where: Token, Check: random,
			Examples:        []string{fake("md-", some(22, alnum))},
			CounterExamples: []string{"md-responsive-grid-layout", "md-" + some(10, alnum)},
		},
		{
			Name: "brevo-api-key", Doc: "Brevo (Sendinblue) API or SMTP key",
			Pattern: `x(?:keysib|smtpsib)-[a-f0-9]{64}-[A-Za-z0-9]{16}`, Keywords: []string{"xkeysib-", "xsmtpsib-"}, Where: Token,
			Examples:        []string{fake("xkeysib-", some(64, hexa), "-", some(16, alnum))},
			CounterExamples: []string{"xkeysib-" + some(64, hexa)},
		},
		{
			Name: "resend-api-key", Doc: "Resend API key",
			Pattern: `re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}`, Where: Token, Check: mixed, Keywords: []string{"re_"},
			Examples:        []string{fake("re_", some(8, alnum), "_", some(24, alnum))},
			CounterExamples: []string{"re_compile_expression"},
		},
	}
}

// withHex returns prefix followed by each hex digit.
func withHex(prefix string) (list []string) {
	for _, c := range hexa {
		list = append(list, prefix+string(c))
	}
	return list
}
