package evidence

import (
	"math"
	"strings"
	"testing"
)

func TestTilePath(t *testing.T) {
	for _, tt := range []struct {
		tile Tile
		path string
	}{
		{Tile{0, 0, 256}, "tile/0/000"},
		{Tile{0, 0, 1}, "tile/0/000.p/1"},
		{Tile{0, 999, 255}, "tile/0/999.p/255"},
		{Tile{0, 1000, 256}, "tile/0/x001/000"},
		{Tile{0, 1234, 5}, "tile/0/x001/234.p/5"},
		{Tile{3, 1234067, 256}, "tile/3/x001/x234/067"}, // the example of C2SP tlog-tiles
		{Tile{63, 1, 256}, "tile/63/001"},
		{Tile{EntriesLevel, 0, 256}, "tile/entries/000"},
		{Tile{EntriesLevel, 273, 112}, "tile/entries/273.p/112"},
		{Tile{63, math.MaxInt64, 255}, "tile/63/x009/x223/x372/x036/x854/x775/807.p/255"},
	} {
		if got := tt.tile.Path(); got != tt.path {
			t.Errorf("%+v has the path %s, want %s", tt.tile, got, tt.path)
		}
		if got, err := ParseTile(tt.path); err != nil || got != tt.tile {
			t.Errorf("%s is %+v, %v, want %+v", tt.path, got, err, tt.tile)
		}
	}
}

func TestParseTileRefuses(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"", "does not begin with tile/"},
		{"/tile/0/000", "does not begin with tile/"},
		{"checkpoint", "does not begin with tile/"},
		{"tile/0", "no index"},
		{"tile//000", "level"},
		{"tile/64/000", "level"},
		{"tile/-1/000", "level"},
		{"tile/+1/000", "level"},
		{"tile/00/000", "has the path tile/0/000"},
		{"tile/01/000", "has the path tile/1/000"},
		{"tile/Entries/000", "level"},
		{"tile/8/", "groups of three"}, // tile/<height>/ of the Go checksum database
		{"tile/8/0/000", "has the path"},
		{"tile/0/0", "has the path tile/0/000"},
		{"tile/0/0000", "has the path tile/0/000"},
		{"tile/0/1000", "groups of three"},
		{"tile/0/x000", "has the path tile/0/000"},
		{"tile/0/x000/001", "has the path tile/0/001"},
		{"tile/0/001/000", "has the path tile/0/x001/000"},
		{"tile/0/x001/x000", "has the path"},
		{"tile/0/xx01/000", "groups of three"},
		{"tile/0/X001/000", "groups of three"},
		{"tile/0/x001//000", "groups of three"},
		{"tile/0/000/", "groups of three"},
		{"tile/0/../000", "groups of three"},
		{"tile/0/000.p/0", "width"},
		{"tile/0/000.p/256", "width"},
		{"tile/0/000.p/05", "has the path tile/0/000.p/5"},
		{"tile/0/000.p/", "width"},
		{"tile/0/000.p", "groups of three"},
		{"tile/0/000.p/5.p/5", "width"},
		{"tile/0/000.p/5/", "width"},
		{"tile/0/x009/x223/x372/x036/x854/x775/808", "2^63"},
		{"tile/0/x001/x009/x223/x372/x036/x854/x775/807", "2^63"},
		{"tile/0/" + strings.Repeat("x001/", 20) + "000", "too long"},
		{"tile/0/000\n", "groups of three"},
	} {
		if got, err := ParseTile(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q is %+v, %v, want an error with %q", tt.path, got, err, tt.want)
		}
	}
}

// tilesOf lists the tiles of a log by the definition of C2SP tlog-tiles: full
// ones, and for a level of s hashes a partial one of s mod 256.
func tilesOf(size uint64) map[Tile]bool {
	tiles := make(map[Tile]bool)
	for level, hashes := 0, size; hashes > 0; level, hashes = level+1, hashes/256 {
		levels := []int{level}
		if level == 0 {
			levels = append(levels, EntriesLevel)
		}
		for _, l := range levels {
			for i := range hashes / 256 {
				tiles[Tile{l, i, 256}] = true
			}
			if w := hashes % 256; w > 0 {
				tiles[Tile{l, hashes / 256, int(w)}] = true
			}
		}
	}
	return tiles
}

// TestTileExists compares with all tiles of all sizes up to some.
func TestTileExists(t *testing.T) {
	sofar := make(map[Tile]bool)
	for size := range uint64(1100) {
		for tile := range tilesOf(size) {
			sofar[tile] = true
		}
		for level := EntriesLevel; level < 3; level++ {
			for index := range uint64(6) {
				for width := 0; width <= TileWidth+1; width++ {
					tile := Tile{level, index, width}
					if got := tile.Exists(size); got != sofar[tile] {
						t.Fatalf("size %d, %+v: %v, want %v", size, tile, got, sofar[tile])
					}
				}
			}
		}
	}
	// The example of the specification.
	tiles := tilesOf(70000)
	if len(tiles) != 273+1+273+1+1+1+1 {
		t.Errorf("a log of 70000 entries has %d tiles", len(tiles))
	}
	for tile := range tiles {
		if !tile.Exists(70000) {
			t.Errorf("%s is missing at 70000", tile.Path())
		}
	}
	for _, tile := range []Tile{{0, 273, 113}, {1, 1, 18}, {2, 0, 2}, {3, 0, 1}, {8, 0, 1}, {63, 0, 1}, {64, 0, 1}, {-2, 0, 1}, {0, math.MaxUint64, 1}} {
		if tile.Exists(70000) {
			t.Errorf("%+v exists at 70000", tile)
		}
	}
	if !(Tile{7, 0, 255}).Exists(math.MaxUint64) || (Tile{7, 0, 256}).Exists(math.MaxUint64) || (Tile{8, 0, 1}).Exists(math.MaxUint64) {
		t.Error("tiles of the largest log are wrong")
	}
}

func FuzzParseTile(f *testing.F) {
	for _, path := range []string{"tile/0/000", "tile/entries/x001/234.p/5", "tile/63/x009/x223/x372/x036/x854/x775/807.p/255", "tile/0/x000/000", "tile/00/000"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := ParseTile(path)
		if err != nil {
			return
		}
		if tile.Path() != path || tile.Level < EntriesLevel || tile.Level > 63 || tile.Index > math.MaxInt64 || tile.Width < 1 || tile.Width > TileWidth {
			t.Fatalf("%q is %+v, whose path is %q", path, tile, tile.Path())
		}
		tile.Exists(tile.Index)
	})
}
