package auth

import (
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	someID     = "3f9a1c2e"
	someSecret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	someToken  = "cst_" + someID + "_" + someSecret
)

func TestParseToken(t *testing.T) {
	id, secret, err := parseToken(someToken)
	if err != nil || id != someID || secret != someSecret {
		t.Fatalf("parseToken = %q, %q, %v", id, secret, err)
	}
	for _, tt := range []struct{ name, token, want string }{
		{"empty", "", "begins with cst_"},
		{"another prefix", "ghp" + someToken[3:], "begins with cst_"},
		{"prefix in upper case", "CST" + someToken[3:], "begins with cst_"},
		{"cut", someToken[:len(someToken)-1], "has 56 characters, and this one 55"},
		{"longer", someToken + "A", "has 56 characters, and this one 57"},
		{"id in upper case", strings.Replace(someToken, someID, "3F9A1C2E", 1), "hexadecimal"},
		{"id that is not hexadecimal", strings.Replace(someToken, someID, "3f9a1c2g", 1), "hexadecimal"},
		{"no separator", strings.Replace(someToken, someID+"_", someID+"-", 1), "hexadecimal"},
		{"base64 of the other alphabet", someToken[:len(someToken)-2] + "+8", "base64url"},
		{"bits that stand for nothing", someToken[:len(someToken)-1] + "9", "base64url"},
		{"a line break", tokenPrefix + someID + "_\n" + strings.Repeat("A", 42), "base64url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := parseToken(tt.token)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("parseToken(%q) = %v, want an error with %q", tt.token, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), someSecret[:20]) {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestNewToken(t *testing.T) {
	form := regexp.MustCompile(`^cst_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$`) // that of docs/format/tokens.md
	seen := map[string]bool{}
	for range 1000 {
		asked := 0
		token, id, secret := newToken(func(string) bool { asked++; return asked < 3 })
		gotID, gotSecret, err := parseToken(token)
		if err != nil || gotID != id || gotSecret != secret || !form.MatchString(token) {
			t.Fatalf("%q has the id %q and the secret %q, which read as %q, %q, %v", token, id, secret, gotID, gotSecret, err)
		}
		if b, _ := base64.RawURLEncoding.DecodeString(secret); len(b) != 32 || asked != 3 {
			t.Fatalf("a secret of %d bytes after %d tries", len(b), asked)
		}
		if seen[secret] {
			t.Fatal("the same secret twice")
		}
		seen[secret] = true
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(someToken)
	f.Add("cst_")
	f.Add("cst_00000000_" + strings.Repeat("_", 43))
	f.Fuzz(func(t *testing.T, token string) {
		id, secret, err := parseToken(token)
		if err != nil {
			return
		}
		if tokenPrefix+id+"_"+secret != token {
			t.Errorf("%q reads as %q and %q", token, id, secret)
		}
		if b, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(b) != secretBytes || base64.RawURLEncoding.EncodeToString(b) != secret {
			t.Errorf("%q: the secret is %d bytes, %v", token, len(b), err)
		}
	})
}

func goldenFile() *tokenFile {
	at := func(s string) time.Time {
		tm, err := time.Parse(time.RFC3339, s)
		if err != nil {
			panic(err)
		}
		return tm
	}
	return &tokenFile{Format: tokenFormat, Tokens: []tokenRecord{
		{
			TokenInfo: TokenInfo{ID: someID, Name: "ci-agents", Roles: []Role{Submitter}, Trails: []string{"default"}, Agents: []string{"a1", "a2"},
				Created: at("2026-11-25T10:00:00Z"), CreatedBy: "local", Expires: at("2027-02-23T10:00:00Z"), LastUsed: at("2026-11-25T11:30:00Z")},
			SecretHash: "7f2f2a3f1ad5e8f0fb7bb9dc53e56cab1bd9f3f90b1a4b2d4d8b5e7e2b0a9c11",
		},
		{
			TokenInfo: TokenInfo{ID: "00c0ffee", Name: "auditor@example.com", Roles: []Role{Auditor, Operator},
				Created: at("2026-11-25T10:05:00.000125Z"), CreatedBy: "oidc:root@example.com", CreatedByPerson: "oidc:https://id.example.com|00u1a2b3", Revoked: at("2026-11-26T08:00:00Z"), RevokedBy: "token:root"},
			SecretHash: strings.Repeat("0a", 32),
		},
	}}
}

// The file as this format version writes it is read by every later program.
func TestTokenFileGolden(t *testing.T) {
	name := filepath.Join("testdata", "tokens.v2.json")
	f := goldenFile()
	hash := hashSecret(someSecret)
	f.Tokens[0].SecretHash = hexOf(hash)
	want, err := f.encode()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Errorf("%s is\n%s\nthe program writes\n%s", name, have, want)
	}
	read, err := parseTokenFile(have)
	if err != nil {
		t.Fatal(err)
	}
	again, err := read.encode()
	if err != nil || string(again) != string(have) {
		t.Errorf("read and written again it is\n%s%v", again, err)
	}
	// What the page shows is this file.
	page, err := os.ReadFile("../../docs/format/tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{string(have), someToken} {
		if !strings.Contains(string(page), part) {
			t.Errorf("docs/format/tokens.md does not show\n%s", part)
		}
	}
}

// A file of the format before this one is read, and written as this one.
func TestOlderTokenFile(t *testing.T) {
	older, err := os.ReadFile(filepath.Join("testdata", "tokens.v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseTokenFile(older)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.encode()
	if err != nil || string(again) != strings.Replace(string(older), `"format": 1`, `"format": 2`, 1) {
		t.Errorf("%v\n%s", err, again)
	}
}

func TestParseTokenFile(t *testing.T) {
	whole, err := goldenFile().encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseTokenFile(whole); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, from, to, want string }{
		{"a newer version", `"format": 2`, `"format": 3`, "newer version of this program wrote it: it says format 3"},
		{"no version", `"format": 2,`, ``, "format: 0; expected 1 to 2"},
		{"an older version", `"format": 2`, `"format": -1`, "format: -1"},
		{"not JSON", `"tokens": [`, `"tokens": (`, "line 3: "},
		{"a member of another type", `"name": "ci-agents"`, `"name": 7`, "line 6: "},
		{"an unknown member", `"name": "ci-agents"`, `"name": "ci-agents", "admin": true`, `unknown field "admin"`},
		{"an unknown role", `"submitter"`, `"root"`, `token 1 (id "3f9a1c2e"): roles: there is no role "root"`},
		{"a role twice", `"operator"`, `"auditor"`, "twice"},
		{"no role", "[\n        \"submitter\"\n      ]", `[]`, "at least one is required"},
		{"an empty trail, which is not all trails", `"default"`, `""`, "trails: "},
		{"an agent twice", `"a2"`, `"a1"`, "agents: "},
		{"a short id", `"3f9a1c2e"`, `"3f9a1c2"`, "id: "},
		{"an id in upper case", `"3f9a1c2e"`, `"3F9A1C2E"`, "id: "},
		{"an id twice", `"00c0ffee"`, `"3f9a1c2e"`, "token 2: another one has the id 3f9a1c2e"},
		{"a short hash", strings.Repeat("0a", 32), strings.Repeat("0a", 31), "secret_sha256: "},
		{"a hash in upper case", strings.Repeat("0a", 32), strings.Repeat("0A", 32), "secret_sha256: "},
		{"a name that could be another kind", `"ci-agents"`, `"a:b"`, "name: "},
		{"a time that is none", `"2026-11-25T10:00:00Z"`, `"yesterday"`, "yesterday"},
		{"no time of creation", `"created": "2026-11-25T10:00:00Z",`, ``, "created: "},
		{"nobody revoked it", `"token:root"`, `""`, "revoked and revoked_by"},
		{"a person that is none", `"oidc:https://id.example.com|00u1a2b3"`, `"\u0000"`, "created_by_person: "},
		{"nobody created it", `"created_by": "local"`, `"created_by": ""`, "created_by: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content := strings.Replace(string(whole), tt.from, tt.to, 1)
			if content == string(whole) {
				t.Fatalf("there is no %s in\n%s", tt.from, whole)
			}
			_, err := parseTokenFile([]byte(content))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	for n := range len(whole) - 1 {
		if _, err := parseTokenFile(whole[:n]); err == nil {
			t.Fatalf("the first %d bytes of a file are taken for one", n)
		}
	}
	if _, err := parseTokenFile(append(whole, whole...)); err == nil {
		t.Error("two files after each other are taken for one")
	}
}

func FuzzParseTokenFile(f *testing.F) {
	whole, err := goldenFile().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"format":1,"tokens":[null]}`))
	f.Add([]byte(`{"format":1,"tokens":null}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := parseTokenFile(content)
		if err != nil {
			return
		}
		for i := range file.Tokens {
			r := &file.Tokens[i]
			if _, ok := r.secretHash(); !ok || len(r.Roles) == 0 || file.find(r.ID) != r {
				t.Fatalf("token %d is %+v", i+1, r)
			}
		}
		once, err := file.encode()
		if err != nil {
			return // it is too large, or has a time that JSON cannot
		}
		again, err := parseTokenFile(once)
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, once)
		}
		if twice, err := again.encode(); err != nil || string(twice) != string(once) {
			t.Fatalf("written again it changes: %v\n%s\n%s", err, once, twice)
		}
	})
}
