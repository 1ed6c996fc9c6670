package evidence

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// TileWidth is the number of hashes in a full tile and of entries in a full
// entry bundle (C2SP tlog-tiles).
const TileWidth = 256

// EntriesLevel is the Level of an entry bundle.
const EntriesLevel = -1

const (
	maxTileLevel = 63
	maxTilePath  = 64 // the longest there is has 54 bytes
)

// Tile names a tile of a log's tree or an entry bundle (C2SP tlog-tiles, "Merkle
// Tree" and "Log entries").
type Tile struct {
	Level int    // 0 to 63; [EntriesLevel] is an entry bundle
	Index uint64 // within the level, below 2^63
	Width int    // 1 to [TileWidth]; less than that is a partial tile
}

// ParseTile reads the path of a tile below the log's prefix, such as
// "tile/0/x001/234.p/5" or "tile/entries/000". A tile has one path: no other
// spelling is accepted.
func ParseTile(path string) (Tile, error) {
	refuse := func(why string) (Tile, error) {
		return Tile{}, fmt.Errorf("%.80q is not the path of a tile: %s", path, why)
	}
	if len(path) > maxTilePath {
		return refuse("it is too long")
	}
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return refuse("it does not begin with tile/")
	}
	level, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return refuse("it has no index")
	}
	t := Tile{Level: EntriesLevel, Width: TileWidth}
	if level != "entries" {
		n, err := strconv.ParseUint(level, 10, 8)
		if err != nil || n > maxTileLevel {
			return refuse("the level is neither a number from 0 to 63 nor entries")
		}
		t.Level = int(n)
	}
	index, width, partial := strings.Cut(rest, ".p/")
	if partial {
		n, err := strconv.ParseUint(width, 10, 8)
		if err != nil || n == 0 {
			return refuse("the width of a partial tile is not a number from 1 to 255")
		}
		t.Width = int(n)
	}
	for group := range strings.SplitSeq(index, "/") {
		n, err := strconv.ParseUint(strings.TrimPrefix(group, "x"), 10, 64)
		if err != nil || n > 999 {
			return refuse("the index is not in groups of three digits")
		}
		if t.Index > (math.MaxInt64-n)/1000 {
			return refuse("the index is 2^63 or more")
		}
		t.Index = t.Index*1000 + n
	}
	// What was read too generously, such as zeros in front, comes back otherwise.
	if want := t.Path(); want != path {
		return refuse("that tile has the path " + want)
	}
	return t, nil
}

// Path returns the path of a tile below the log's prefix.
func (t Tile) Path() string {
	index := fmt.Sprintf("%03d", t.Index%1000)
	for n := t.Index / 1000; n > 0; n /= 1000 {
		index = fmt.Sprintf("x%03d/%s", n%1000, index)
	}
	level := "entries"
	if t.Level != EntriesLevel {
		level = strconv.Itoa(t.Level)
	}
	path := "tile/" + level + "/" + index
	if t.Width != TileWidth {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return path
}

// Exists reports whether a log of that size has all that the tile holds. Then a
// full tile is one of the log, and a partial one is that of this size or of a
// smaller one. C2SP tlog-tiles asks a log to serve a partial tile only when it
// signed a checkpoint of such a size, and no longer when the full one is there.
func (t Tile) Exists(size uint64) bool {
	if t.Level < EntriesLevel || t.Level > maxTileLevel || t.Width < 1 || t.Width > TileWidth {
		return false
	}
	hashes := size >> (8 * max(t.Level, 0)) // of that level; floor(size / 256^level)
	full := hashes / TileWidth
	return t.Index < full || t.Index == full && uint64(t.Width) <= hashes%TileWidth
}
