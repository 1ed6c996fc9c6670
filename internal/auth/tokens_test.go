package auth

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/custodylog/custody/internal/statefile"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

const tokensName = "/data/tokens.json"

func hexOf(sum [32]byte) string { return hex.EncodeToString(sum[:]) }

func openTokens(t *testing.T, fsys vfs.FS) *Tokens {
	t.Helper()
	tokens, err := OpenTokens(fsys, tokensName)
	if err != nil {
		t.Fatal(err)
	}
	tokens.OnProblem = func(err error) { t.Errorf("problem: %v", err) }
	return tokens
}

func spec() TokenSpec {
	return TokenSpec{Name: "ci-agents", Roles: []Role{Submitter}, Trails: []string{"a"}, Agents: []string{"a1"}, CreatedBy: "local"}
}

func create(t *testing.T, tokens *Tokens, s TokenSpec) (token string, info TokenInfo) {
	t.Helper()
	token, info, err := tokens.Create(s)
	if err != nil {
		t.Fatal(err)
	}
	return token, info
}

func bearing(token string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// try tells what becomes of a token: the principal's name, or the reason.
func try(t *testing.T, tokens *Tokens, token string) string {
	t.Helper()
	p, err := tokens.Authenticate(bearing(token))
	if d, ok := errors.AsType[*Denied](err); ok {
		return string(d.Reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p.Name
}

func TestTokenStandsForItsPrincipal(t *testing.T) {
	tokens := openTokens(t, vfstest.NewMem())
	token, info := create(t, tokens, spec())
	for _, reopened := range []bool{false, true} {
		p, err := tokens.Authenticate(bearing(token))
		if err != nil {
			t.Fatal(err)
		}
		want := Principal{Name: "token:ci-agents", Kind: "token", Roles: []Role{Submitter}, Trails: []string{"a"}, Agents: []string{"a1"}, TokenID: info.ID, Authenticated: true}
		if p.PersonID() != tokenPerson(info.ID) {
			t.Errorf("reopened %v: the person is %+v", reopened, p.Person)
		}
		is := *p
		is.Person = nil
		if fmt.Sprint(is) != fmt.Sprint(want) {
			t.Errorf("reopened %v: the principal is %+v, want %+v", reopened, is, want)
		}
		if !p.May(Append, "a") || p.May(Append, "b") || p.May(ReadEntries, "a") || !p.MayClaim("a1") || p.MayClaim("a2") {
			t.Errorf("reopened %v: it may do something else than it was made for", reopened)
		}
		tokens = openTokens(t, tokens.fsys)
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	tokens := openTokens(t, vfstest.NewMem())
	token, info := create(t, tokens, spec())
	other, _ := create(t, tokens, spec())
	mixed := other[:len(other)-43] + token[len(token)-43:] // the id of one, the secret of the other
	changed := []byte(token)
	changed[len(changed)-10] ^= 1
	for _, tt := range []struct {
		name   string
		header []string // of Authorization
		want   string   // the principal, the reason, or "" for no credentials of this kind
	}{
		{"good", []string{"Bearer " + token}, "token:ci-agents"},
		{"scheme in other case", []string{"bEARER  " + token}, "token:ci-agents"},
		{"none", nil, ""},
		{"empty", []string{""}, ""},
		{"another scheme", []string{"Basic " + token}, ""},
		{"another kind of bearer token", []string{"Bearer eyJhbGciOiJub25lIn0.e30."}, ""},
		{"no scheme", []string{token}, ""},
		{"another secret", []string{"Bearer cst_" + info.ID + "_" + someSecret}, "bad_credentials"},
		{"one bit of the secret", []string{"Bearer " + string(changed)}, "bad_credentials"},
		{"the secret of another token", []string{"Bearer " + mixed}, "bad_credentials"},
		{"an id that there is not", []string{"Bearer " + someToken}, "bad_credentials"},
		{"the hash for the secret", []string{"Bearer cst_" + info.ID + "_" + tokens.file.Tokens[0].SecretHash[:43]}, "bad_credentials"},
		{"cut", []string{"Bearer " + token[:20]}, "bad_credentials"},
		{"something behind it", []string{"Bearer " + token + " x"}, "bad_credentials"},
		{"twice", []string{"Bearer " + token, "Bearer " + token}, "bad_credentials"},
		{"two different ones", []string{"Basic x", "Bearer " + token}, "bad_credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Authorization"] = tt.header
			p, err := tokens.Authenticate(r)
			got := ""
			if d, ok := errors.AsType[*Denied](err); ok {
				got = string(d.Reason)
				if strings.Contains(d.Error(), token[len(token)-43:]) {
					t.Errorf("the answer holds the secret: %v", d)
				}
			} else if err != nil {
				t.Fatal(err)
			} else if p != nil {
				got = p.Name
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Nobody learns from the answer whether there is a token with some id.
func TestAnswerDoesNotTellIDsApart(t *testing.T) {
	tokens := openTokens(t, vfstest.NewMem())
	_, info := create(t, tokens, spec())
	answer := func(id string) string {
		_, err := tokens.Authenticate(bearing("cst_" + id + "_" + someSecret))
		return strings.ReplaceAll(err.Error(), id, "ID")
	}
	if there, not := answer(info.ID), answer("00000000"); there != not {
		t.Errorf("%q and %q", there, not)
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := openTokens(t, vfstest.NewMem())
		s := spec()
		s.Expires = time.Now().Add(time.Hour)
		token, info := create(t, tokens, s)
		time.Sleep(time.Until(info.Expires) - time.Nanosecond)
		if got := try(t, tokens, token); got != "token:ci-agents" {
			t.Errorf("before: %s", got)
		}
		time.Sleep(time.Nanosecond)
		if got := try(t, tokens, token); got != "expired" {
			t.Errorf("at its end: %s", got)
		}
		_, err := tokens.Authenticate(bearing(token))
		d, _ := errors.AsType[*Denied](err)
		if d.Principal == nil || d.Principal.TokenID != info.ID {
			t.Errorf("it is not said whose token it was: %+v", d)
		}
		// Who does not have the secret is not told that it expired.
		if got := try(t, tokens, "cst_"+info.ID+"_"+someSecret); got != "bad_credentials" {
			t.Errorf("with another secret: %s", got)
		}
	})
}

func TestRevoke(t *testing.T) {
	tokens := openTokens(t, vfstest.NewMem())
	token, info := create(t, tokens, spec())
	other, _ := create(t, tokens, spec())
	revoked, err := tokens.Revoke(info.ID, "token:root")
	if err != nil || revoked.Revoked.IsZero() || revoked.RevokedBy != "token:root" {
		t.Fatalf("Revoke = %+v, %v", revoked, err)
	}
	for _, reopened := range []bool{false, true} {
		if got := try(t, tokens, token); got != "revoked" {
			t.Errorf("reopened %v: %s", reopened, got)
		}
		if got := try(t, tokens, other); got != "token:ci-agents" {
			t.Errorf("reopened %v: another token: %s", reopened, got)
		}
		tokens = openTokens(t, tokens.fsys)
	}
	if again, err := tokens.Revoke(info.ID, "local"); err != nil || again.RevokedBy != "token:root" {
		t.Errorf("revoking again = %+v, %v, want it as it was", again, err)
	}
	for _, id := range []string{"", "00000000", strings.Repeat("x", 1<<16)} {
		if _, err := tokens.Revoke(id, "local"); !errors.Is(err, ErrNoToken) || len(err.Error()) > 200 {
			t.Errorf("revoking %.20q: %.300v", id, err)
		}
	}
	if _, err := tokens.Revoke(info.ID, ""); err == nil {
		t.Error("nobody may revoke")
	}
	if list, err := tokens.List(); err != nil || len(list) != 2 {
		t.Errorf("the list has %d tokens, %v; the revoked one should be kept", len(list), err)
	}
}

// Asking for what is not there makes nothing.
func TestNoTokensYet(t *testing.T) {
	mem := vfstest.NewMem()
	tokens := openTokens(t, mem)
	if list, err := tokens.List(); err != nil || len(list) > 0 {
		t.Errorf("List = %v, %v", list, err)
	}
	if got := try(t, tokens, someToken); got != "bad_credentials" {
		t.Errorf("a token: %s", got)
	}
	if _, err := tokens.Revoke(someID, "local"); !errors.Is(err, ErrNoToken) {
		t.Errorf("Revoke: %v", err)
	}
	if names, err := mem.List("/"); err != nil || len(names) > 0 {
		t.Errorf("there are %q, %v", names, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	tokens := openTokens(t, vfstest.NewMem())
	for _, tt := range []struct {
		name   string
		change func(*TokenSpec)
		want   string
	}{
		{"no name", func(s *TokenSpec) { s.Name = "" }, "name: "},
		{"a name with a space", func(s *TokenSpec) { s.Name = "ci agents" }, "letters, digits"},
		{"a name with a line break", func(s *TokenSpec) { s.Name = "ci\nagents" }, "letters, digits"},
		{"a name that is not UTF-8", func(s *TokenSpec) { s.Name = "ci\xff" }, "letters, digits"},
		{"a long name", func(s *TokenSpec) { s.Name = strings.Repeat("n", 101) }, "101 bytes"},
		{"no role", func(s *TokenSpec) { s.Roles = nil }, "roles: at least one"},
		{"a role that there is not", func(s *TokenSpec) { s.Roles = []Role{"root"} }, `"root"`},
		{"a trail without a name", func(s *TokenSpec) { s.Trails = []string{""} }, "trails: "},
		{"an agent with a control character", func(s *TokenSpec) { s.Agents = []string{"a\x00"} }, "agents: "},
		{"too many agents", func(s *TokenSpec) { s.Agents = make([]string, 1001) }, "agents: there are 1001"},
		{"expired", func(s *TokenSpec) { s.Expires = time.Now().Add(-time.Second) }, "not in the future"},
		{"nobody creates it", func(s *TokenSpec) { s.CreatedBy = "" }, "created_by: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := spec()
			tt.change(&s)
			token, _, err := tokens.Create(s)
			if token != "" || !errors.Is(err, ErrTokenSpec) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Create = %q, %v, want an error with %q", token, err, tt.want)
			}
		})
	}
	if list, err := tokens.List(); err != nil || len(list) > 0 {
		t.Errorf("after all that there are %d tokens, %v", len(list), err)
	}
}

// What is given away is a copy: changing it changes nobody's rights.
func TestInfoIsACopy(t *testing.T) {
	tokens := openTokens(t, vfstest.NewMem())
	s := spec()
	token, info := create(t, tokens, s)
	list, err := tokens.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, roles := range [][]Role{s.Roles, info.Roles, list[0].Roles} {
		roles[0] = Admin
	}
	p, err := tokens.Authenticate(bearing(token))
	if err != nil || !slices.Equal(p.Roles, []Role{Submitter}) {
		t.Errorf("it has the roles %v, %v", p.Roles, err)
	}
}

// The command line changes the file while a server runs.
func TestAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfstest.NewMem()
		server, command := openTokens(t, mem), openTokens(t, mem)
		token, info := create(t, command, spec())
		if got := try(t, server, token); got != "token:ci-agents" {
			t.Errorf("a token that was created just now: %s", got)
		}
		mine, _ := create(t, server, spec())
		if _, err := command.Revoke(info.ID, "local"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		if got := try(t, server, token); got != "revoked" {
			t.Errorf("a second after it was revoked: %s", got)
		}
		if got := try(t, command, mine); got != "token:ci-agents" {
			t.Errorf("the change of the one lost that of the other: %s", got)
		}
		if err := mem.Remove(tokensName); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		if got := try(t, server, mine); got != "bad_credentials" {
			t.Errorf("a second after the file was removed: %s", got)
		}
	})
}

// Wrong tokens do not make the server read the file again and again.
func TestWrongTokensAreCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfstest.NewMem()
		reads := 0
		create(t, openTokens(t, mem), spec())
		server := openTokens(t, vfstest.Inject(mem, func(op vfstest.Op) vfstest.Fault {
			if op.Kind == vfstest.Open {
				reads++
			}
			return vfstest.None
		}))
		reads = 0
		for range 100 {
			if got := try(t, server, someToken); got != "bad_credentials" {
				t.Fatal(got)
			}
		}
		if reads != 0 {
			t.Errorf("100 wrong tokens made it read the file %d times", reads)
		}
	})
}

// A file that cannot be judged lets nobody in, and in again once it can be.
func TestDamagedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfstest.NewMem()
		tokens := openTokens(t, mem)
		token, _ := create(t, tokens, spec())
		whole, err := mem.ReadAll(tokensName)
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"empty": "", "cut": string(whole[:50]), "newer": `{"format":3}`} {
			if err := mem.WriteAll(tokensName, []byte(content)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(recheck)
			for range 2 {
				_, why, _ := pass(t, bearing(token), nil, tokens)
				if why == nil || why.Reason != Unavailable || !strings.Contains(why.Err.Error(), tokensName) {
					t.Errorf("%s: %v, want unavailable", name, why)
				}
			}
			if _, _, err := tokens.Create(spec()); err == nil {
				t.Errorf("%s: a token was created", name)
			}
			if _, err := OpenTokens(mem, tokensName); err == nil {
				t.Errorf("%s: it can be opened", name)
			}
			if have, _ := mem.ReadAll(tokensName); string(have) != content {
				t.Errorf("%s: the file was changed", name)
			}
		}
		if err := mem.WriteAll(tokensName, whole); err != nil {
			t.Fatal(err)
		}
		if got := try(t, tokens, token); got != "token:ci-agents" {
			t.Errorf("repaired: %s", got)
		}
	})
}

func TestLockOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfstest.NewMem()
		tokens := openTokens(t, mem)
		token, _ := create(t, tokens, spec())
		lock, err := mem.Lock(tokensName+statefile.LockSuffix, "process 7")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _, err = tokens.Create(spec())
		if locked, ok := errors.AsType[*vfs.LockedError](err); !ok || locked.Holder != "process 7" || time.Since(began) < statefile.LockWait {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		time.Sleep(2 * saveUseEach)
		use := func(when string) {
			began := time.Now()
			if got := try(t, tokens, token); got != "token:ci-agents" || time.Since(began) > 0 {
				t.Errorf("%s, after %s: %s; who uses a token does not wait", when, time.Since(began), got)
			}
		}
		use("somebody else changes the file")
		time.Sleep(2 * saveUseEach)
		time.AfterFunc(time.Second, func() { lock.Close() })
		var wg sync.WaitGroup
		wg.Go(func() { create(t, tokens, spec()) })
		synctest.Wait()
		tokens.mu.Lock()
		tokens.saved = time.Time{} // a use is due to be written
		tokens.mu.Unlock()
		use("this process waits to change it")
		wg.Wait()
	})
}

func TestLastUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		writes := 0
		mem := vfstest.NewMem()
		tokens := openTokens(t, vfstest.Inject(mem, func(op vfstest.Op) vfstest.Fault {
			if op.Kind == vfstest.Rename {
				writes++
			}
			return vfstest.None
		}))
		token, _ := create(t, tokens, spec())
		other, _ := create(t, tokens, spec())
		writes = 0
		const minutes = 10
		for range minutes * 60 {
			time.Sleep(time.Second)
			try(t, tokens, token)
		}
		if writes != minutes {
			t.Errorf("in %d minutes the file was written %d times", minutes, writes)
		}
		last := time.Now().UTC()
		inFile := func(tokens *Tokens) time.Time {
			list, err := tokens.List()
			if err != nil || len(list) != 2 || !list[1].LastUsed.IsZero() {
				t.Fatalf("the list is %+v, %v", list, err)
			}
			return list[0].LastUsed
		}
		if got := inFile(tokens); !got.Equal(last) {
			t.Errorf("it was used last at %s, the list says %s", last, got)
		}
		if got := inFile(openTokens(t, mem)); last.Sub(got) > saveUseEach || got.IsZero() {
			t.Errorf("it was used last at %s, the file says %s", last, got)
		}
		// Whatever changes the file takes along what is known.
		try(t, tokens, other)
		time.Sleep(time.Second)
		create(t, tokens, spec())
		list, err := openTokens(t, mem).List()
		if err != nil || !list[1].LastUsed.Equal(last) {
			t.Errorf("the other one was used last at %s, the file says %s, %v", last, list[1].LastUsed, err)
		}
	})
}

// Of two servers, the one that saw a token last is right.
func TestLastUsedDoesNotGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfstest.NewMem()
		early, late := openTokens(t, mem), openTokens(t, mem)
		token, _ := create(t, early, spec())
		time.Sleep(time.Second)
		try(t, early, token) // kept in memory
		time.Sleep(time.Hour)
		try(t, late, token) // written
		last := time.Now()
		create(t, early, spec())
		if list, err := openTokens(t, mem).List(); err != nil || !list[0].LastUsed.Equal(last) {
			t.Errorf("it was used last at %s, the file says %s, %v", last, list[0].LastUsed, err)
		}
	})
}

// A disk that cannot be written keeps nobody from using a token.
func TestLastUsedOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfstest.NewMem()
		tokens := openTokens(t, mem)
		token, _ := create(t, tokens, spec())
		var problems []error
		tokens.OnProblem = func(err error) { problems = append(problems, err) }
		mem.SetFree(0)
		for range 180 {
			time.Sleep(time.Second)
			if got := try(t, tokens, token); got != "token:ci-agents" {
				t.Fatal(got)
			}
		}
		if len(problems) != 3 {
			t.Errorf("in three minutes there were %d problems: %v", len(problems), problems)
		}
	})
}

func TestFileDoesNotHoldTheSecret(t *testing.T) {
	mem := vfstest.NewMem()
	token, info := create(t, openTokens(t, mem), spec())
	content, err := mem.ReadAll(tokensName)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := parseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), secret) || !strings.Contains(string(content), hexOf(hashSecret(secret))) || !strings.Contains(string(content), info.ID) {
		t.Errorf("the file should hold the id and the hash, not the secret:\n%s", content)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	tokens, err := OpenTokens(vfs.OS{}, filepath.Join(b.TempDir(), "tokens.json"))
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := tokens.Create(spec())
	if err != nil {
		b.Fatal(err)
	}
	r := bearing(token)
	for b.Loop() {
		if _, err := tokens.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}
