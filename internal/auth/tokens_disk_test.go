package auth

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// Whatever fails, and whenever the power goes: the file is whole, what was
// acknowledged is in it, and what was revoked stays revoked.
func TestFaultsAndCrashes(t *testing.T) {
	for _, fault := range []vfstest.Fault{vfstest.Fail, vfstest.FailAfter, vfstest.ShortWrite} {
		t.Run(string(fault), func(t *testing.T) {
			for n := 0; ; n++ {
				mem := vfstest.NewMem()
				before := openTokens(t, mem)
				old, oldInfo := create(t, before, spec())
				plan := vfstest.OnNth(n, fault)
				tokens, err := OpenTokens(vfstest.Inject(mem, func(op vfstest.Op) vfstest.Fault {
					if op.Kind == vfstest.Close && op.Name == tokensName {
						return vfstest.None // it was opened for reading: nothing is lost
					}
					return plan.Decide(op)
				}), tokensName)
				var token string
				var created, revoked error
				if err == nil {
					token, _, created = tokens.Create(spec())
					_, revoked = tokens.Revoke(oldInfo.ID, "local")
				}
				disks := []*vfstest.Mem{mem, mem.CrashClone(nil)}
				for seed := range uint64(10) {
					disks = append(disks, mem.CrashClone(rand.New(rand.NewPCG(seed, 0))))
				}
				for i, disk := range disks {
					after := openTokens(t, disk)
					if err == nil && created == nil && try(t, after, token) != "token:ci-agents" {
						t.Errorf("operation %d failed, disk %d: a token that was created is lost", n, i)
					}
					if got := try(t, after, old); got != "revoked" && (err == nil && revoked == nil || got != "token:ci-agents") {
						t.Errorf("operation %d failed, disk %d: a token that was revoked: %s", n, i, got)
					}
					create(t, after, spec())
				}
				if !plan.Hit() {
					if err != nil || created != nil || revoked != nil {
						t.Errorf("nothing failed, but %v, %v, %v", err, created, revoked)
					}
					if n < 15 {
						t.Errorf("only %d operations were tried", n)
					}
					break
				}
				if err == nil && created == nil && revoked == nil {
					t.Errorf("operation %d failed and nobody was told", n)
				}
			}
		})
	}
}

// Two servers and the requests of many on one file: no change is lost.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "data", "tokens.json")
	const each, workers = 5, 4
	var wg sync.WaitGroup
	for i := range 2 {
		tokens, err := OpenTokens(vfs.OS{}, name)
		if err != nil {
			t.Fatal(err)
		}
		for range workers {
			wg.Go(func() {
				for k := range each {
					s := spec()
					s.Name = fmt.Sprintf("t%d", k)
					token, info, err := tokens.Create(s)
					if err != nil {
						t.Error(err)
						return
					}
					for range 20 {
						if p, err := tokens.Authenticate(bearing(token)); err != nil || p.TokenID != info.ID {
							t.Errorf("server %d: %v, %v", i, p, err)
						}
					}
					if _, err := tokens.Revoke(info.ID, "local"); err != nil {
						t.Error(err)
					}
					if _, err := tokens.Authenticate(bearing(token)); err == nil {
						t.Errorf("server %d: a revoked token is good", i)
					}
				}
			})
		}
	}
	wg.Wait()
	tokens, err := OpenTokens(vfs.OS{}, name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := tokens.List()
	if err != nil || len(list) != 2*workers*each || slices.ContainsFunc(list, func(i TokenInfo) bool { return i.Revoked.IsZero() }) {
		t.Errorf("there are %d tokens, %v, want %d that are revoked", len(list), err, 2*workers*each)
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file has the mode %v, %v", info.Mode(), err)
		}
	}
}

func TestFileTooLarge(t *testing.T) {
	mem := vfstest.NewMem()
	tokens := openTokens(t, mem)
	s := spec()
	for len(s.Agents) < maxBound {
		s.Agents = append(s.Agents, fmt.Sprintf("%0990d", len(s.Agents)))
	}
	var err error
	n := 0
	for ; err == nil && n < 10; n++ {
		_, _, err = tokens.Create(s)
	}
	if err == nil || !strings.Contains(err.Error(), "more than the 4194304 it may have") {
		t.Fatalf("after %d tokens of a megabyte: %v", n, err)
	}
	if list, err := openTokens(t, mem).List(); err != nil || len(list) != n-1 {
		t.Errorf("there are %d tokens, %v, want %d", len(list), err, n-1)
	}
}
