package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
)

// stateHeader begins a state file: what it is, and its version
// (docs/format/witness.md).
const (
	stateName   = "custody witness v"
	stateHeader = stateName + "1\n"
)

// maxStateSize bounds a state file in bytes.
const maxStateSize = len(stateHeader) + 2*sha256.Size + 1 + 20 + 1 + evidence.MaxCheckpointSize

// state is the last checkpoint of a log that the witness cosigned.
type state struct {
	evidence.Checkpoint
	signed []byte    // the checkpoint with the signatures of the log's known keys
	time   time.Time // of the cosignature, in whole seconds
}

// stateFile returns the name of the file with the state of a log.
func stateFile(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// append appends the bytes of the state's file.
func (s *state) append(dst []byte) []byte {
	rest := fmt.Appendf(nil, "%d\n%s", s.time.Unix(), s.signed)
	return fmt.Appendf(dst, "%s%x\n%s", stateHeader, sha256.Sum256(rest), rest)
}

// parseState reads the bytes of a state file.
func parseState(b []byte) (*state, error) {
	rest, ok := bytes.CutPrefix(b, []byte(stateHeader))
	if !ok {
		version, _, _ := bytes.Cut(bytes.TrimPrefix(b, []byte(stateName)), []byte("\n"))
		if n, err := strconv.ParseUint(string(version), 10, 32); err == nil && n > 1 && bytes.HasPrefix(b, []byte(stateName)) {
			return nil, fmt.Errorf("it has version %d, which a newer version of this program wrote; use that", n)
		}
		return nil, fmt.Errorf("it does not begin with %q", strings.TrimSuffix(stateHeader, "\n"))
	}
	sum, rest, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || string(sum) != fmt.Sprintf("%x", sha256.Sum256(rest)) {
		return nil, errors.New("it was altered: its second line is not the SHA-256 of what follows")
	}
	seconds, signed, _ := bytes.Cut(rest, []byte("\n"))
	t, err := strconv.ParseInt(string(seconds), 10, 64)
	if err != nil || strconv.FormatInt(t, 10) != string(seconds) {
		return nil, fmt.Errorf("line 3: %.40q is not a time in seconds", seconds)
	}
	s := &state{signed: signed, time: time.Unix(t, 0).UTC()}
	s.Checkpoint, err = evidence.PeekCheckpoint(signed)
	return s, err
}

// readState reads the state of a log; nil when the witness never cosigned it.
func readState(fsys vfs.FS, name, origin string) (*state, error) {
	b, err := vfs.ReadFile(fsys, name, int64(maxStateSize))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	s, err := parseState(b)
	if err == nil && s.Origin != origin {
		err = fmt.Errorf("it is that of the log %q", s.Origin)
	}
	if err != nil {
		return nil, fmt.Errorf("state file %s: %w", name, err)
	}
	return s, nil
}
