package detector

import "strings"

// keys are the detectors for private keys, signed tokens and password hashes.
func keys() []Detector {
	return []Detector{
		{
			Name: "private-key", Doc: "private key in PEM, OpenSSH or PGP armour, also if its end is cut off",
			Pattern:  "-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:" + armoured + "*?-----END[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\\s\\\\\"',:-]*)",
			Keywords: []string{"PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"}, Where: Block, Check: hasBody,
			Examples: []string{
				pem("RSA PRIVATE KEY", "\n", 24), pem("PRIVATE KEY", `\n`, 20), pem("OPENSSH PRIVATE KEY", "\r\n", 6), pem("PGP PRIVATE KEY BLOCK", "\n", 10),
				"-----BEGIN EC PRIVATE" + " KEY-----\n" + some(64, b64) + "\n" + some(40, b64),
				"-----BEGIN RSA PRIVATE" + " KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC," + some(32, upper36) + "\n\n" + some(64, b64) + "\n-----END RSA PRIVATE KEY-----",
			},
			CounterExamples: []string{
				"-----BEGIN PRIVATE" + " KEY-----", "looks for -----BEGIN RSA PRIVATE" + " KEY----- and the END line",
				"-----BEGIN PUBLIC KEY-----\n" + some(64, b64) + "\n-----END PUBLIC KEY-----",
			},
		},
		{
			Name: "putty-private-key", Doc: "private part of a PuTTY key",
			Pattern: `Private-Lines: \d+\s+(` + armoured + `{16,})`, Keywords: []string{"Private-Lines:"}, Where: Block, Check: hasBody,
			Examples:        []string{fake("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n", some(48, b64))},
			CounterExamples: []string{"Private-Lines: 14"},
		},
		{
			Name: "age-secret-key", Doc: "age identity",
			Pattern: `AGE-SECRET-KEY-1[0-9A-Z]{58}`, Keywords: []string{"AGE-SECRET-KEY-1"}, Where: Token,
			Examples:        []string{fake("AGE-SECRET-", "KEY-1", some(58, base32))},
			CounterExamples: []string{"AGE-SECRET-KEY-1" + some(12, base32), "age1" + some(58, lower36)},
		},
		{
			Name: "wireguard-key", Doc: "WireGuard private or preshared key",
			Pattern: `(?:Private|Preshared)Key\s{0,4}=\s{0,4}([A-Za-z0-9+/]{43}=)`, Keywords: []string{"PrivateKey", "PresharedKey"}, Where: After,
			Examples:        []string{fake("PrivateKey = ", some(42, b64), "A=")},
			CounterExamples: []string{"PublicKey = " + some(42, b64) + "A="},
		},
		{
			Name: "jwk-private-key", Doc: "private exponent or key of a JSON Web Key (RFC 7517)",
			Pattern: `\\?"d\\?"\s{0,4}:\s{0,4}\\?"([\w-]{40,700})\\?"`, Keywords: []string{`"kty"`, `"kty\"`, `"crv"`, `"crv\"`}, Check: mixed,
			Examples:        []string{fake(`{"kty":"OKP","crv":"Ed25519","d":"`, some(43, b64url), `"}`)},
			CounterExamples: []string{`{"kty":"OKP","crv":"Ed25519","x":"` + some(43, b64url) + `"}`},
		},
		{
			Name: "jwt", Doc: "JSON Web Token or encrypted token (RFC 7519), signed and in compact form",
			Pattern: `eyJ[\w-]{8,}\.(?:eyJ[\w-]{2,}\.[\w-]{10,}|[\w-]*\.[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})`, Keywords: []string{"eyJ"}, Where: Token, Check: jwtHeader,
			Examples: []string{
				fake("eyJhbGciOiJI", "UzI1NiJ9.eyJzdWIiOiIxIn0.", some(43, b64url)),
				fake("Authorization: Bearer eyJhbGciOiJI", "UzI1NiJ9.eyJzdWIiOiIxIn0.", some(43, b64url)),
				fake("eyJhbGciOiJk", "aXIiLCJlbmMiOiJBMTI4R0NNIn0..", some(16, b64url), ".", some(40, b64url), ".", some(22, b64url)),
			},
			CounterExamples: []string{"eyJhbGciOiJIUzI1NiJ9", "eyJmb28iOiJiYXIifQ.eyJzdWIiOiIxIn0." + some(43, alnum)},
		},
		{
			Name: "password-hash", Doc: "password hash of crypt(3), htpasswd, Argon2 or Kerberos",
			Pattern: `\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|\$(?:1|apr1)\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}|\$5\$(?:rounds=\d{1,9}\$)?[^\s$:]{1,16}\$[./A-Za-z0-9]{43}` +
				`|\$6\$(?:rounds=\d{1,9}\$)?[^\s$:]{1,16}\$[./A-Za-z0-9]{86}|\$(?:7|y|gy)\$[./A-Za-z0-9]{1,20}\$[./A-Za-z0-9]{0,64}\$[./A-Za-z0-9]{43}` +
				`|\$argon2(?:id|i|d)\$(?:v=\d+\$)?[a-z0-9=,]+\$[A-Za-z0-9+/]{8,}\$[A-Za-z0-9+/]{16,}|\$[89]\$[./A-Za-z0-9]{14}\$[./A-Za-z0-9]{43}` +
				`|\$krb5(?:asrep|tgs|pa)\$\d{1,2}\$[^\s"']{32,}`,
			Keywords: []string{"$2a$", "$2b$", "$2x$", "$2y$", "$1$", "$apr1$", "$5$", "$6$", "$7$", "$y$", "$gy$", "$argon2", "$8$", "$9$", "$krb5"},
			Examples: []string{
				fake("$2b$", "12$", some(53, alnum)), fake("$1$", some(8, alnum), "$", some(22, alnum)), fake("admin:$apr1$", some(8, alnum), "$", some(22, alnum)),
				fake("$5$rounds=5000$", some(16, alnum), "$", some(43, alnum)), fake("root:$6$", some(16, alnum), "$", some(86, alnum), ":19000"),
				fake("$y$", "j9T$", some(22, alnum), "$", some(43, alnum)), fake("$argon2id$", "v=19$m=65536,t=3,p=4$", some(22, alnum), "$", some(43, alnum)),
				fake("$8$", some(14, alnum), "$", some(43, alnum)), fake("$krb5asrep$", "23$u@example.org:", some(32, hexa), "$", some(64, hexa)),
			},
			CounterExamples: []string{"awk '{print $1$2}'", "$2a$10$short", "cost: $5$"},
		},
	}
}

// armoured is a byte of base64 over lines, with the line breaks, quotes and
// escapes of source code and JSON around it.
const armoured = "[A-Za-z0-9+/=\\s\\\\\"'`|,:;.()@<>*_#-]"

// hasBody reports whether a line of base64 stands in s, after its first line.
func hasBody(s string) bool {
	run := 0
	for i := max(0, strings.LastIndex(s[:min(len(s), 120)], "KEY-----"), strings.LastIndex(s[:min(len(s), 120)], "BLOCK-----")); i < len(s); i++ {
		if c := s[i]; isName[c] && c != '_' || c == '+' || c == '/' {
			if run++; run >= 32 {
				return true
			}
		} else {
			run = 0
		}
	}
	return false
}

// pem returns an example of a key of that many lines.
func pem(label, newline string, lines int) string {
	parts := []string{"-----BEGIN ", label, "-----", newline}
	for i := range lines {
		parts = append(parts, some(64-i%2, b64), newline)
	}
	return fake(append(parts, "-----END ", label, "-----")...)
}
