package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

func TestCommitVectors(t *testing.T) {
	salt := []byte("0123456789abcdef")
	for _, tt := range []struct {
		name          string
		salt, payload []byte
		want          string
	}{
		{"empty payload, zero salt", make([]byte, 16), nil, "0b0cf4ad54b85196ace65dc2e3310d36b59a649d71fd00113af75a79876832ea"},
		{"payload", salt, []byte(`{"event_type":"action_denied"}`), "253a597eb32b076f6c3229f2626bf9cc3fa813ebab2d8edd0f5af0639407d311"},
	} {
		got, err := Commit(tt.salt, tt.payload)
		if err != nil || hex.EncodeToString(got[:]) != tt.want {
			t.Errorf("%s: %x, %v; want %s", tt.name, got, err, tt.want)
		}
	}
}

// TestCommit compares with the definition, over the border at which no memory is
// taken.
func TestCommit(t *testing.T) {
	for n := range 1200 {
		body := bytes.Repeat([]byte{byte(n), 's', 3}, SaltSize+n/3)[:SaltSize+n]
		want := Hash(sha256.Sum256(append([]byte("custody payload v1\n"), body...)))
		if got := CommitBody(body); got != want {
			t.Fatalf("CommitBody of %d bytes = %v, want %v", len(body), got, want)
		}
		if got, err := Commit(body[:SaltSize], body[SaltSize:]); err != nil || got != want {
			t.Fatalf("Commit of %d bytes = %v, %v, want %v", len(body), got, err, want)
		}
	}
}

func TestCommitRefusesSalt(t *testing.T) {
	for _, n := range []int{0, 15, 17, 32} {
		if _, err := Commit(make([]byte, n), []byte("payload")); err == nil {
			t.Errorf("salt of %d bytes: accepted", n)
		}
	}
}

// TestCommitBindsTheBorder: what is moved from salt to payload changes nothing,
// which is why the salt has one length only.
func TestCommitBindsTheBorder(t *testing.T) {
	a, err := Commit([]byte("0123456789abcdef"), []byte("ghij"))
	if err != nil {
		t.Fatal(err)
	}
	if b := CommitBody([]byte("0123456789abcdefghij")); a != b {
		t.Errorf("%v, then %v", a, b)
	}
	if b := CommitBody([]byte("1123456789abcdefghij")); a == b {
		t.Error("another salt has the same commitment")
	}
}

func TestCommitTakesNoMemory(t *testing.T) {
	body := make([]byte, 900)
	if n := testing.AllocsPerRun(100, func() { CommitBody(body) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
