package auth

import (
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// MTLS returns an authenticator by client certificates that the TLS server has
// verified. The first rule that matches a certificate counts; one that no rule matches
// is refused. What a rule matches:
//
//	subject:CN=agent-1,O=Example         the whole subject, as RFC 4514 writes it
//	dns:agent-1.example.com              a DNS name
//	dns:*.example.com                    one with any first label
//	uri:spiffe://example.com/agents/a1   a URI
//	uri:spiffe://example.com/agents/*    one with any last segment of its path
//	email:agent@example.com              an email address
//
// The principal is named after what matched: "mtls:" with the subject, or with the
// name as in the rule, "mtls:dns:agent-1.example.com".
func MTLS(rules []Rule) (Authenticator, error) {
	for i := range rules {
		u := &rules[i]
		err := u.check()
		if err == nil {
			err = checkCertificateMatch(u.Match)
		}
		if err != nil {
			return nil, &RuleError{"client certificates", i, u.Match, err}
		}
	}
	return mtls(slices.Clone(rules)), nil
}

type mtls []Rule

func checkCertificateMatch(match string) error {
	kind, value, ok := strings.Cut(match, ":")
	if !ok || value == "" || !slices.Contains([]string{"subject", "dns", "uri", "email"}, kind) {
		return errors.New("expected subject:, dns:, uri: or email: and what a certificate must say")
	}
	if err := checkID(match); err != nil {
		return err
	}
	fixed := value
	switch kind {
	case "subject":
		return nil // a * in it stands for itself
	case "dns":
		fixed = strings.TrimPrefix(value, "*.")
	case "uri":
		fixed = strings.TrimSuffix(value, "/*")
	}
	if fixed == "" || strings.Contains(fixed, "*") {
		return errors.New("* may only be the first label of a DNS name or the last segment of a URI")
	}
	return nil
}

// Authenticate implements [Authenticator].
func (rules mtls) Authenticate(r *http.Request) (*Principal, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil, nil
	}
	cert := r.TLS.VerifiedChains[0][0]
	names, err := certificateNames(cert)
	if err != nil {
		return nil, &Denied{Reason: BadCredentials, Detail: "the client certificate cannot be read: " + err.Error()}
	}
	for i := range rules {
		for _, name := range names {
			if !name.matches(rules[i].Match) {
				continue
			}
			p := rules[i].principal(KindMTLS, name.String(), certified(cert, name))
			// The connection may have outlived what was verified when it began.
			if time.Now().After(cert.NotAfter) {
				return nil, &Denied{Reason: Expired, Detail: "the client certificate expired at " + cert.NotAfter.UTC().Format(time.RFC3339), Principal: p}
			}
			return p, nil
		}
	}
	return nil, &Denied{Reason: BadCredentials, Detail: fmt.Sprintf("no rule of this server is for the client certificate with the subject %q", cert.Subject)}
}

// certified returns whom a certificate is for: its issuer with its subject or, where that
// is empty, with the name that it is used by.
func certified(cert *x509.Certificate, name certificateName) string {
	subject, _ := distinguished(cert.RawSubject) // certificateNames has read it
	issuer, err := distinguished(cert.RawIssuer)
	if err != nil {
		issuer = hex.EncodeToString(cert.RawIssuer)
	}
	return issuer + "|" + cmp.Or(subject, name.String())
}

// distinguished writes a distinguished name as RFC 4514 does. pkix.Name keeps one common
// name of several; the name as it stands has all.
func distinguished(raw []byte) (string, error) {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return "", errors.New("it is not a distinguished name")
	}
	return name.String(), nil
}

// certificateName is one of the names that a certificate is for.
type certificateName struct{ kind, value string }

// String returns how a principal is named after it.
func (n certificateName) String() string {
	if n.kind == "subject" {
		return n.value
	}
	return n.kind + ":" + n.value
}

// maxNames is how many alternative names of a certificate are looked at.
const maxNames = 100

func certificateNames(cert *x509.Certificate) ([]certificateName, error) {
	subject, err := distinguished(cert.RawSubject)
	if err != nil {
		return nil, fmt.Errorf("its subject: %w", err)
	}
	names := []certificateName{{"subject", subject}}
	for _, s := range cert.DNSNames {
		names = append(names, certificateName{"dns", strings.ToLower(s)})
	}
	for _, u := range cert.URIs {
		names = append(names, certificateName{"uri", u.String()})
	}
	for _, s := range cert.EmailAddresses {
		names = append(names, certificateName{"email", s})
	}
	if len(names) > maxNames {
		return nil, fmt.Errorf("it has %d names, more than %d", len(names), maxNames)
	}
	return slices.DeleteFunc(names, func(n certificateName) bool { return checkID(n.String()) != nil }), nil
}

func (n certificateName) matches(match string) bool {
	kind, want, _ := strings.Cut(match, ":")
	if kind != n.kind {
		return false
	}
	switch n.kind {
	case "dns":
		want = strings.ToLower(want)
		if base, ok := strings.CutPrefix(want, "*."); ok {
			first, rest, _ := strings.Cut(n.value, ".")
			return first != "" && first != "*" && rest == base
		}
	case "uri":
		if above, ok := strings.CutSuffix(want, "/*"); ok {
			last, ok := strings.CutPrefix(n.value, above+"/")
			segment, err := url.PathUnescape(last)
			return ok && err == nil && segment != "" && segment != "." && segment != ".." && !strings.ContainsAny(last, "?#") && !strings.ContainsAny(segment, `/\`)
		}
	}
	return n.value == want
}
