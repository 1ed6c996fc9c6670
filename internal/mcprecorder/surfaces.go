package mcprecorder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/custodylog/custody/internal/vfs"
)

// Surfaces remembers, in a directory, the digests of the tools that servers had, so that
// it is found out when they change between two runs. Each server has a file, named by
// what it belongs to.
type Surfaces struct {
	dir   string
	trail string
	log   *slog.Logger
}

// NewSurfaces returns what is remembered in a directory for recorders of a trail. The
// directory is made when there is something to keep.
func NewSurfaces(dir, trail string, log *slog.Logger) *Surfaces {
	return &Surfaces{dir, trail, log}
}

// surfaceJSON is the content of a file.
type surfaceJSON struct {
	Trail  string            `json:"trail"`
	Server string            `json:"server"`
	Tools  map[string]string `json:"tools"` // digests by name
}

// maxSurface bounds the file of a server in bytes.
const maxSurface = 4 << 20

func (s *Surfaces) file(server string) string {
	sum := sha256.Sum256([]byte(s.trail + "\x00" + server))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16])+".json")
}

// known returns the tools that a server had; nil: it is not known.
func (s *Surfaces) known(server string) map[string]string {
	name := s.file(server)
	info, err := os.Stat(name)
	var text []byte
	if err == nil && info.Size() <= maxSurface {
		text, err = os.ReadFile(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var j surfaceJSON
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		s.log.Warn("custody: it is not known which tools the server had before", "server", server, "file", name, "err", err)
		return nil
	}
	return j.Tools
}

// remember keeps the tools of a server. With nil they did not fit into the event that
// tells of them, and those before stay: so that the list is told of as changed again.
func (s *Surfaces) remember(server string, tools map[string]any) error {
	if tools == nil {
		return nil
	}
	j := surfaceJSON{s.trail, server, map[string]string{}}
	for name, v := range tools {
		j.Tools[name], _ = v.(string)
	}
	text, err := json.Marshal(j)
	if err == nil {
		err = os.MkdirAll(s.dir, 0o700)
	}
	if err != nil {
		return err
	}
	return vfs.WriteFileAtomic(vfs.OS{}, s.file(server), text)
}

// newID returns an id that no other event has.
func newID() string { return "mcp-" + rand.Text() }
