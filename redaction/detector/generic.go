package detector

import (
	"slices"
	"strings"
)

// generic are the detectors for credentials that go by what stands around them.
func generic() []Detector {
	return []Detector{
		{
			Name: "basic-auth", Doc: "user and password of HTTP Basic authentication (RFC 7617)",
			Pattern: `(?i)\bbasic\s{1,4}([A-Za-z0-9+/]{6,}={0,2})`, Keywords: []string{"basic "}, Where: After, Check: basicAuth,
			Examples:        []string{"Authorization: Basic dXNlcjpodW50ZXIy", `-H "authorization: basic YWRtaW46czNjcmV0"`},
			CounterExamples: []string{"basic authentication", "Basic functionality"},
		},
		{
			Name: "bearer-token", Doc: "bearer token of an Authorization header (RFC 6750)",
			Pattern: `(?i)\bbearer[\s:]{1,4}["']?([\w.~+/-]{16,}=*)`, Keywords: []string{"bearer ", "bearer: "}, Where: After, Check: all(mixed, func(s string) bool { return alternations(s) >= 3 }),
			Examples:        []string{fake("Authorization: Bearer ", some(40, alnum)), fake("bearer ", some(40, hexa))},
			CounterExamples: []string{"Authorization: Bearer $TOKEN", "bearer authentication-with-oauth2", "Bearer <your-token-goes-here>", "bearer token_validation_error_2"},
		},
		{
			Name: "url-password", Doc: "password in the address of a server or database",
			Pattern: `://[^\s:/?#"'<>]*:(.+)@[^@]*$`, candidates: userinfo, Check: literal,
			Examples:        []string{"postgres://app:hunter2@db.example.org:5432/app", "redis://:s3cret@localhost:6379/0", "https://u:p%40ss@example.org/a@b", "mongodb+srv://u:a@b@c.example.net/x", "amqp://guest:gu3st@mq"},
			CounterExamples: []string{"https://example.org:8080/a@b", "postgres://user:${PASSWORD}@host/db", "https://{user}:{pass}@example.org", "ssh://git@github.com/a/b", "mysql://u:<password>@h/d", "https://x:%s@h", "https://username:password@example.org"},
		},
		{
			Name: "random-assignment", Doc: "random value assigned to a name that says key, token or secret",
			Pattern:  "(?i)(?:key|token|secret|passw(?:or)?d|pwd|credentials?|_pat)" + "[\\w.-]{0,32}[\"'`\\])\\\\]{0,4}\\s{0,4}(?:=>|:=|[:=,>])\\s{0,4}(?:[rbf]?[\"'])?[\\\\\"'`(\\[]{0,4}" + `([A-Za-z0-9_.+/~!-]{16,}={0,2})`,
			Keywords: []string{"api_key", "apikey", "api-key", "access_key", "accesskey", "access-key", "auth_key", "authkey", "secret", "token", "private_key", "privatekey", "encryption_key", "signing_key", "master_key", "passwd", "password", "credential", "_pat"},
			Where:    After, ahead: assigned, Check: random,
			Examples: []string{fake("api_key = \"", some(32, alnum), "\""), fake("MY_SECRET=", some(24, alnum)), fake(`"accessToken": "`, some(48, b64url), `"`), fake("ado_pat = '", some(52, "abcdefghijklmnopqrstuvwxyz234567"), "'")},
			CounterExamples: []string{
				"secret = 'a" + some(20, lowers) + "'", "token = tokenizer.next_token_2()", "commit_token: " + some(40, hexa), "api_key_id=" + uuid(),
				"github.com/a/secrets-ad,v0.5.3-20190725170108-e1b17ad0c772", "{token.CONST, `sub1Common3_LONG4 = 13`}", "token: sha256:" + some(64, hexa), "apiKey: process.env.API_KEY_2", "SECRET=${SECRET_1A2B3C4D5E6F7G8H}",
			},
		},
	}
}

// literal reports whether s is a password rather than the place where one goes.
func literal(s string) bool {
	if strings.ContainsAny(s[:1], "$<{[%*") || strings.Contains(s, "{{") || strings.Contains(s, "${") || strings.HasPrefix(s, "#{") {
		return false
	}
	s = fold(s)
	for _, p := range []string{"your", "put your", "replace", "change", "insert", "placeholder"} {
		if strings.HasPrefix(s, p) {
			return false
		}
	}
	switch strings.Trim(s, "x*.#-") {
	case "", "password", "passwd", "pwd", "none", "null", "redacted":
		return false
	}
	return true
}

// userinfo finds addresses with a user and a password (RFC 3986 section 3.2.1).
// Passwords are often written there without the escapes that they need, so it
// goes to the last @ of the word.
func userinfo(text string, from int) (start, end int) {
	for {
		i := strings.Index(text[from:], "://")
		if i < 0 {
			return -1, -1
		}
		start = from + i
		from = start + len("://")
		colon, at := -1, -1
	word:
		for end = from; end < len(text); end++ {
			switch c := text[end]; c {
			case ' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>', '|', '\\', ',':
				break word
			case '/', '?':
				break word
			case ':':
				if colon < 0 {
					colon = end
				}
			case '@':
				at = end
			}
		}
		if colon >= 0 && at > colon+1 {
			return start, at + 1
		}
		from = end
	}
}

// assigned returns where a value of 16 bytes or more goes on that is assigned to
// the name that stands before i, or -1. It goes by the name as well: an
// identifier, a page token or the path of a file is no secret.
func assigned(text string, i int) int {
	skip := func(set *[256]bool, most int) {
		for ; most > 0 && i < len(text) && set[text[i]]; most-- {
			i++
		}
	}
	word := i
	skip(&isNamePart, 32)
	name := i
	skip(&isCloser, 4)
	skip(&isBlank, 4)
	if i == len(text) || !isOperator[text[i]] || text[i] == ',' && !isCloser[text[i-1]] {
		return -1 // a comma leads from a name in quotes to its value
	}
	skip(&isOperator, 2)
	skip(&isBlank, 4)
	if i+1 < len(text) && isPrefix[text[i]] && isQuote[text[i+1]] {
		i++
	}
	skip(&isOpener, 5)
	start, digit := i, false
	for i < len(text) && isWord[text[i]] && (i-start < 16 || !digit && i-start < 64) {
		digit = digit || isDigit[text[i]]
		i++
	}
	if i-start < 16 || !digit || text[start] == '/' || text[start] == '.' || text[start] == '~' {
		return -1
	}
	if describes(text[word:name]) || counted(text[max(0, word-24):word]) {
		return -1
	}
	return i
}

// describes reports whether a name that goes on like that is not of the secret
// but of something about it.
func describes(rest string) bool {
	rest = strings.TrimLeft(rest, "_.-")
	return slices.ContainsFunc(describing, func(w string) bool {
		return len(rest) >= len(w) && strings.EqualFold(rest[:len(w)], w)
	})
}

// counted reports whether a name that ends like that is of a place in a list, or
// of a mark that makes a request count once.
func counted(name string) bool {
	return slices.ContainsFunc(counting, func(w string) bool {
		return len(name) >= len(w) && strings.EqualFold(name[len(name)-len(w):], w)
	})
}

var (
	describing = strings.Fields("id name path file type url uri hash sha digest version arn h")
	counting   = strings.Fields("nexttoken next_token next-token pagetoken page_token page-token paginationtoken pagination_token " +
		"continuationtoken continuation_token clienttoken client_token client-token synctoken sync_token sync-token")
)

// Bytes between a name and its value.
var (
	isNamePart = bytes("_.-", '0', '9', 'A', 'Z', 'a', 'z')
	isCloser   = bytes("\"'`])\\")
	isBlank    = bytes(" \t\r\n")
	isOperator = bytes("=:,>")
	isOpener   = bytes("\"'`([\\")
	isPrefix   = bytes("rbf") // of literals in Python
	isQuote    = bytes("\"'")
)
