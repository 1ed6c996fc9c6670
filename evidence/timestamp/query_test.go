package timestamp

import (
	"bytes"
	"encoding/asn1"
	"regexp"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/tsatest"
)

// TestRequest: a query is what OpenSSL would ask, but for the nonce.
func TestRequest(t *testing.T) {
	cp := checkpoint(t, 41)
	q, err := Request(cp)
	must(t, err)
	tsa := tsatest.New(t, tsatest.Options{})
	tsa.Write("query.tsq", q.DER)
	tsa.Write("body", body(t, cp))
	got := tsa.Run(nil, "ts", "-query", "-in", "query.tsq", "-text")
	want := tsa.Run(nil, "ts", "-query", "-data", "body", "-sha256", "-cert", "-text")
	nonce := regexp.MustCompile("\nNonce: 0x[0-9A-F]{8,}\n")
	if len(nonce.FindAll(got, -1)) != 1 || !bytes.Equal(nonce.ReplaceAll(got, nil), nonce.ReplaceAll(want, nil)) {
		t.Errorf("got\n%swant, but for the nonce,\n%s", got, want)
	}

	again, err := Request(cp)
	must(t, err)
	if again.nonce == q.nonce {
		t.Errorf("two queries have the nonce %x", q.nonce)
	}
	if _, err := Request(body(t, cp)); err == nil {
		t.Error("a checkpoint without signatures is taken")
	}
}

// TestParseRefuses: a response is of its query, and what else may come back says
// what it is.
func TestParseRefuses(t *testing.T) {
	cp := checkpoint(t, 41)
	q, err := Request(cp)
	must(t, err)
	plain := tsatest.New(t, tsatest.Options{})
	response := plain.Reply(q.DER)
	_, err = Parse(response, q)
	must(t, err)

	again, err := Request(cp)
	must(t, err)
	otherBody := *q
	otherBody.imprint[0]++
	altered := bytes.Clone(response)
	altered[len(altered)-1]++ // the last byte of the signature

	with := func(change func(*timeStampResp)) []byte {
		var resp timeStampResp
		must(t, unmarshal(response, &resp))
		change(&resp)
		der, err := asn1.Marshal(resp)
		must(t, err)
		return der
	}
	_, err = Parse(with(func(r *timeStampResp) { r.Status.Status = grantedWithMods }), q)
	must(t, err)

	plain.Write("body", body(t, cp))
	unknownPolicy := plain.Reply(plain.Run(nil, "ts", "-query", "-data", "body", "-sha256", "-tspolicy", "1.2.3"))
	withoutNonce := plain.Reply(plain.Run(nil, "ts", "-query", "-data", "body", "-sha256", "-cert", "-no_nonce"))
	for _, tc := range []struct {
		name     string
		response []byte
		query    *Query
		want     []string
	}{
		{"hash algorithm not supported", tsatest.New(t, tsatest.Options{Config: "digests = sha512"}).Reply(q.DER), q,
			[]string{"rejection", "badAlg", `"Message digest algorithm is not supported."`}},
		{"policy not supported", unknownPolicy, q, []string{"rejection", "unacceptedPolicy", `"Requested policy is not supported."`}},
		{"waiting", with(func(r *timeStampResp) { r.Status.Status = 3 }), q, []string{"waiting: without a reason"}},
		{"unknown status", with(func(r *timeStampResp) { r.Status.Status = 77 }), q, []string{"status 77: without a reason"}},
		{"granted without a token", with(func(r *timeStampResp) { r.Token = asn1.RawValue{} }), q, []string{"and there is none"}},
		{"response to another query", response, again, []string{"the nonce is not that of the query"}},
		{"response without a nonce", withoutNonce, q, []string{"the nonce is not that of the query"}},
		{"of another checkpoint", response, &otherBody, []string{"is of something else"}},
		{"altered", altered, q, []string{"signature is not one by"}},
		{"zero query", response, &Query{}, []string{"the nonce is not that of the query"}},
		{"nothing", nil, q, []string{"is not a TimeStampResp in DER"}},
		{"HTML", []byte("<!DOCTYPE html><title>503</title>"), q, []string{"is not a TimeStampResp in DER"}},
		{"the token alone", stamp(t, plain, cp), q, []string{"is not a TimeStampResp in DER"}},
		{"something behind it", append(bytes.Clone(response), 0), q, []string{"1 bytes follow it"}},
		{"too large", make([]byte, MaxSize+1), q, []string{"65537 bytes, more than 65536"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			token, err := Parse(tc.response, tc.query)
			if err == nil || token != nil {
				t.Fatalf("got %x, %v", token, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
		})
	}
}
