package detector

import "strings"

// payment are the detectors for payment services and shops, and payment cards.
func payment() []Detector {
	return []Detector{
		{
			Name: "payment-card", Doc: "payment card number: the prefix and length of an issuer, and the check digit (Luhn)",
			// Visa, Mastercard, American Express, Discover, JCB, Diners Club,
			// UnionPay: as one number, or in the groups printed on the card.
			Pattern: `(?:^| )(` +
				`(?:4\d{3}|5[1-5]\d\d|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)|6011|64[4-9]\d|65\d\d|35(?:2[89]|[3-8]\d)|62\d\d)(?:\d{12}|(?: \d{4}){3}|(?:-\d{4}){3})` +
				`|3[47]\d\d(?:\d{11}| \d{6} \d{5}|-\d{6}-\d{5})` +
				`|3(?:0[0-5]\d|[689]\d\d)(?:\d{10}| \d{6} \d{4}|-\d{6}-\d{4}))(?: |$)`,
			Check: luhn, candidates: cardNumbers,
			Examples: []string{
				"card 4111 1111 1111 1111.", "4242" + "424242424242", "5555-5555-5555-4444", "2223003122003222",
				"3782 822463 10005", "371449635398431", "6011111111111117", "3530111333300000", "30569309025904", "6200000000000005",
			},
			CounterExamples: []string{
				"4111 1111 1111 1112", "1700000000000000", "0.4111111111111111", "id4111111111111111", "41111111111111111", "4111-1111 1111-1111",
				"1f2e-4111-1111-1111-1111", "4111111111111111.5",
			},
		},
		{
			Name: "stripe-key", Doc: "Stripe secret or restricted key, and Paystack's of the same form",
			Pattern: `[sr]k_(?:live|test|prod)_[A-Za-z0-9]{24,250}`, Keywords: []string{"sk_live_", "sk_test_", "sk_prod_", "rk_live_", "rk_test_", "rk_prod_"}, Where: Token,
			Examples:        []string{fake("sk_", "live_", some(24, alnum)), fake("rk_", "test_", some(99, alnum))},
			CounterExamples: []string{"sk_live_short", "pk_live_" + some(24, alnum), "xsk_live_" + some(24, alnum)},
		},
		{
			Name: "stripe-webhook-secret", Doc: "Stripe webhook signing secret",
			Pattern: `whsec_[A-Za-z0-9+/=]{32,80}`, Keywords: []string{"whsec_"}, Where: Token,
			Examples:        []string{fake("whsec_", some(32, alnum))},
			CounterExamples: []string{"whsec_test"},
		},
		{
			Name: "square-token", Doc: "Square access token",
			Pattern: `(?:sandbox-)?sq0at[pb]-[\w-]{22}|EAAA[\w-]{60}`, Keywords: []string{"sq0atp-", "sq0atb-", "EAAA"}, Where: Token, Check: mixed,
			Examples:        []string{fake("sq0atp-", some(22, b64url)), fake("EAAA", some(60, b64url))},
			CounterExamples: []string{"sq0idp-" + some(22, alnum), "sq0atp-" + some(10, alnum)},
		},
		{
			Name: "square-oauth-secret", Doc: "Square OAuth secret",
			Pattern: `sq0cs[pb]-[\w-]{43}`, Keywords: []string{"sq0csp-", "sq0csb-"}, Where: Token,
			Examples:        []string{fake("sq0csp-", some(43, b64url))},
			CounterExamples: []string{"sq0csp-" + some(12, alnum)},
		},
		{
			Name: "braintree-access-token", Doc: "PayPal Braintree access token",
			Pattern: `access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}`, Keywords: []string{"access_token$"},
			Examples:        []string{fake("access_token$", "production$", some(16, lower36), "$", some(32, hexa))},
			CounterExamples: []string{"access_token$production$"},
		},
		{
			Name: "shopify-token", Doc: "Shopify access token or app secret",
			Pattern: `shp(?:at|ca|pa|ss|ua|tka)_[A-Za-z0-9]{32,40}`, Keywords: []string{"shpat_", "shpca_", "shppa_", "shpss_", "shpua_", "shptka_"}, Where: Token,
			Examples:        []string{fake("shpat_", some(32, hexa)), fake("shpss_", some(32, hexa)), fake("shpca_", some(32, hexa))},
			CounterExamples: []string{"shpssSSSSS_SSSS_sssss is not api key", "shpat_" + some(12, hexa)},
		},
		{
			Name: "plaid-access-token", Doc: "Plaid access token",
			Pattern: `access-(?:sandbox|development|production)-` + uuidForm, Keywords: []string{"access-sandbox-", "access-development-", "access-production-"}, Where: Token,
			Examples:        []string{fake("access-", "production-", uuid())},
			CounterExamples: []string{"access-production-database"},
		},
		{
			Name: "flutterwave-secret-key", Doc: "Flutterwave secret key",
			Pattern: `FLWSECK(?:_TEST)?-[A-Za-z0-9]{32}-X`, Keywords: []string{"FLWSECK-", "FLWSECK_TEST-"}, Where: Token,
			Examples:        []string{fake("FLWSECK", "_TEST-", some(32, hexa), "-X")},
			CounterExamples: []string{"FLWPUBK-" + some(32, hexa) + "-X"},
		},
		{
			Name: "mercadopago-token", Doc: "Mercado Pago access token",
			Pattern: `APP_USR-\d{10,18}-\d{6}-[a-f0-9]{32}-\d{6,10}`, Keywords: []string{"APP_USR-"}, Where: Token,
			Examples:        []string{fake("APP_USR-", some(16, digits), "-", some(6, digits), "-", some(32, hexa), "-", some(9, digits))},
			CounterExamples: []string{"APP_USR-" + uuid()},
		},
		{
			Name: "easypost-api-key", Doc: "EasyPost API key",
			Pattern: `EZ[AT]K[A-Za-z0-9]{54}`, Keywords: []string{"EZAK", "EZTK"}, Where: Token, Check: mixed,
			Examples:        []string{fake("EZAK", some(54, alnum))},
			CounterExamples: []string{"EZAK" + some(12, alnum)},
		},
		{
			Name: "shippo-token", Doc: "Shippo API token",
			Pattern: `shippo_(?:live|test)_[a-f0-9]{40}`, Keywords: []string{"shippo_live_", "shippo_test_"}, Where: Token,
			Examples:        []string{fake("shippo_", "live_", some(40, hexa))},
			CounterExamples: []string{"shippo_live_mode"},
		},
		{
			Name: "adyen-api-key", Doc: "Adyen API key",
			Pattern: `AQE[a-z]hm[A-Za-z0-9+/=._<>{}()\[\]-]{60,}`, Keywords: []string{"AQE"}, Where: Token, Check: mixed,
			Examples:        []string{fake("AQE", "yhm", some(120, alnum), "-", some(40, alnum), "=-", some(16, alnum))},
			CounterExamples: []string{"AQEyhm" + some(12, alnum)},
		},
	}
}

// cardNumbers finds digits, spaces and hyphens in a row that are long enough for
// a payment card number. It looks at every twelfth byte only: one of them and
// the byte after it are in every card number, and one of the two is a digit.
func cardNumbers(text string, from int) (start, end int) {
	const least = 14
	for i := from; i+1 < len(text); i += 12 {
		if !isDigit[text[i]] && !isDigit[text[i+1]] {
			continue
		}
		start = i
		if !isNumber[text[i]] {
			start++
		}
		end = start
		for start > from && isNumber[text[start-1]] {
			start--
		}
		for end < len(text) && isNumber[text[end]] {
			end++
		}
		i = max(i, end-12)
		if start, end = apart(text, start, end); end-start >= least {
			return start, end
		}
	}
	return -1, -1
}

// apart returns what is left of text[start:end] without numbers at its ends
// that are part of a longer word or number.
func apart(text string, start, end int) (int, int) {
	number := text[start:end]
	if start > 0 && number[0] != ' ' {
		if c := text[start-1]; isName[c] || c >= 0x80 || c == '.' || number[0] == '-' {
			start += max(0, strings.IndexByte(number, ' '))
			if number = text[start:end]; number[0] != ' ' {
				return 0, 0
			}
		}
	}
	if end < len(text) && number[len(number)-1] != ' ' {
		c := text[end]
		if isName[c] || c >= 0x80 || c == '.' && end+1 < len(text) && isName[text[end+1]] {
			end = start + strings.LastIndexByte(number, ' ') + 1
		}
	}
	for start < end && text[start] == ' ' {
		start++
	}
	for start < end && text[end-1] == ' ' {
		end--
	}
	return start, end
}
