package interop

import (
	"context"
	"fmt"
	"os"
	"strings"

	"filippo.io/torchwood"

	"github.com/custodylog/custody/evidence"
)

func torchwoodHTTP(ctx context.Context, p *published) (c evidence.Checkpoint, err error) {
	r, err := torchwood.NewTileFetcher(p.url)
	if err != nil {
		return c, err
	}
	return torchwoodReads(ctx, p, r)
}

func torchwoodFiles(ctx context.Context, p *published) (c evidence.Checkpoint, err error) {
	r, err := torchwood.NewTileFS(os.DirFS(p.dir))
	if err != nil {
		return c, err
	}
	return torchwoodReads(ctx, p, r)
}

// torchwoodReads has Torchwood's client read all entries, and some of them again by
// index, and authenticate them against the checkpoint.
func torchwoodReads(ctx context.Context, p *published, r torchwood.TileReader) (evidence.Checkpoint, error) {
	var none evidence.Checkpoint
	policy, err := torchwood.ParsePolicy(p.policy())
	if err != nil {
		return none, err
	}
	signed, err := r.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return none, err
	}
	c, _, err := torchwood.VerifyCheckpoint(signed, policy)
	if err != nil {
		return none, err
	}
	client, err := torchwood.NewClient(r)
	if err != nil {
		return none, err
	}
	next := int64(p.first)
	for i, entry := range client.AllEntries(ctx, c.Tree, next) {
		if i != next || !strings.HasPrefix(string(entry), fmt.Sprintf(`{"index":%d,`, i)) {
			return none, fmt.Errorf("entry %d came where %d was due: %.100q", i, next, entry)
		}
		next++
		if i%1021 > 0 && i != int64(p.first) && i != c.N-1 {
			continue
		}
		again, _, err := client.Entry(ctx, c.Tree, i)
		if err != nil {
			return none, err
		}
		if string(again) != string(entry) {
			return none, fmt.Errorf("entry %d is %q in one way of reading, %q in the other", i, entry, again)
		}
	}
	if err := client.Err(); err != nil {
		return none, err
	}
	if next != c.N {
		return none, fmt.Errorf("%d entries were read of %d", next, c.N)
	}
	return evidence.Checkpoint{Origin: c.Origin, Size: uint64(c.N), Root: c.Hash}, nil
}
