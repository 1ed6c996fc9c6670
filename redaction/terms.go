package redaction

import (
	"bytes"
	"strings"
)

// term is a word, or several, that say secret.
type term struct {
	folded string // in lower case, words joined
	rule   string // what Redaction.Rule says
	set    letters
	joint  int // where the first word ends, for a term of several

	// whole: the term counts only between the ends of words. Otherwise it
	// counts inside a longer word as well: dbpassword, apikeyhash.
	whole bool

	// other lists how a longer word goes on that is another word: author.
	other []string
}

func newTerm(name string, whole bool, other ...string) term {
	r := read(nil, nil, name, true)
	t := term{folded: string(r.folded), rule: "key:", set: lettersOf(string(r.folded)), whole: whole, other: other}
	start := 0
	for i, end := range r.ends {
		if i > 0 {
			t.joint = r.ends[0]
			t.rule += "_"
		}
		t.rule += t.folded[start:end]
		start = end
	}
	return t
}

// isOther reports whether rest, which follows the term in a word, makes it
// another word.
func (t *term) isOther(rest []byte) bool {
	for _, o := range t.other {
		if whole, ok := strings.CutSuffix(o, "$"); ok && string(rest) == whole || !ok && bytes.HasPrefix(rest, []byte(o)) {
			return true
		}
	}
	return false
}

// known are the terms of [Default].
var known = []term{
	newTerm("password", false, "less"),
	newTerm("passwd", false),
	newTerm("passphrase", false),
	newTerm("passcode", false),
	newTerm("pwd", true),
	newTerm("secret", false, "ary", "ari"),             // secretary, secretariat
	newTerm("token", false, "iz", "isa", "ise", "isi"), // tokenizer, tokenisation
	newTerm("credential", false, "ed", "ing"),
	newTerm("cred", true),
	newTerm("auth", false, "or", "entic", "n$", "z$"), // author, authority, authentic, authn, authz
	newTerm("authorization", false),
	newTerm("authorisation", false),
	newTerm("authentication", false),
	newTerm("bearer", true),
	newTerm("cookie", false),
	newTerm("jwt", true),
	newTerm("otp", true),
	newTerm("totp", true),

	newTerm("api key", false),
	newTerm("private key", false),
	newTerm("access key", false),
	newTerm("account key", false),
	newTerm("app key", false),
	newTerm("application key", false),
	newTerm("decryption key", false),
	newTerm("encryption key", false),
	newTerm("functions key", false),
	newTerm("hmac key", false),
	newTerm("master key", false),
	newTerm("recovery key", false),
	newTerm("role key", false),
	newTerm("session key", false),
	newTerm("shared key", false),
	newTerm("signing key", false),
	newTerm("ssh key", false),
	newTerm("ssl key", false),
	newTerm("storage key", false),
	newTerm("subscription key", false),
	newTerm("tls key", false),

	newTerm("admin pass", true),
	newTerm("database pass", true),
	newTerm("db pass", true),
	newTerm("mail pass", true),
	newTerm("mysql pass", true),
	newTerm("postgres pass", true),
	newTerm("proxy pass", true),
	newTerm("redis pass", true),
	newTerm("root pass", true),
	newTerm("smtp pass", true),
	newTerm("user pass", true),

	newTerm("connection string", false),
	newTerm("backup code", false),
	newTerm("recovery code", false),
	newTerm("recovery phrase", false),
	newTerm("seed phrase", false),
}

// describing are the words that, last in a name after a term, make it tell
// something about a secret rather than the secret: token_type, secretName.
// Any other word leaves it one: password_hash, authHeader, token_value.
var describing = words(`
	action age alg algorithm allowed arn at budget changed consent cost count counts created date decision
	dir disabled domain duration enabled endpoint error errors event events exists expiration expire expired
	expires expiry file filename fingerprint format group host id ids in invalid issued issuer kind len length
	level lifetime limit limits manager method methods missing mode name names outcome owner path percent
	policies policy port present protocol provider quota rate ratio reason reasons ref reference required
	requirements revoked role roles rotated rotation rules scheme scope scopes server service size source
	status store strength supported time timestamp ttl type types updated uri url urls usage usages used user
	username valid validity vault version`)

// prepositions end the noun before them: password_for_user_name is a password.
var prepositions = words(`by for from of with`)

// What is no secret before "token" and "tokens", and before "tokens" only:
// numbers and marks of language models, positions in a list, progress.
var (
	countedToken = words(`
		bos cls continuation eos first mask max min next num pad page per progress sep special stop total unk`)
	countedTokens = words(`
		audio cache cached completion consumed context estimated generated image input n new of output
		prediction prompt read reasoning remaining text thinking tool used write`)
)

// sources are the file name extensions of source code and prose, but not of
// configuration.
var sources = words(`
	adoc cc cpp cs css dart erl ex exs go hcl hs html java js jsx kt lua md mdx mjs php pl proto py rb rs rst
	scala scss sql svelte swift tf ts tsx vue zig`)

func words(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}
