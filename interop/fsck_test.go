package interop

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/custodylog/custody/evidence"
)

// fsckDone is what fsck says of a log that it found to be right. It exits with 0 in
// any case.
var fsckDone = regexp.MustCompile(`Successfully fsck'd log with size ([0-9]+) and root (\S+) \(`)

// fsck has Tessera's fsck read the log at a URL: it hashes all entries, builds all
// tiles anew and compares them.
func fsck(ctx context.Context, p *published, url string) (c evidence.Checkpoint, err error) {
	key, err := os.CreateTemp("", "vkey")
	if err != nil {
		return c, err
	}
	defer os.Remove(key.Name())
	if _, err := key.WriteString(p.vkey); err != nil {
		return c, err
	}
	if err := key.Close(); err != nil {
		return c, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, fsckProgram, "-N=32", "-ui=false", "-storage_url="+url, "-public_key="+key.Name()).CombinedOutput()
	done := fsckDone.FindSubmatch(out)
	if err != nil || done == nil {
		return c, fmt.Errorf("fsck did not say that it is right (%v): %.2000s", err, out)
	}
	root, err := base64.StdEncoding.DecodeString(string(done[2]))
	if err != nil || len(root) != len(c.Root) {
		return c, fmt.Errorf("fsck names the root %q", done[2])
	}
	c.Root = evidence.Hash(root)
	c.Size, err = strconv.ParseUint(string(done[1]), 10, 64)
	return c, err
}
