package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// vectorFiles are the files of testdata/vectors, by name.
type vectorFiles map[string][]byte

// list adds a file with one vector on a line.
func list[V any](t *testing.T, files vectorFiles, name string, vectors []V) {
	t.Helper()
	b := bytes.NewBufferString("[\n")
	for i := range vectors {
		line, err := json.Marshal(vectors[i])
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			b.WriteString(",\n")
		}
		b.Write(line)
	}
	b.WriteString("\n]\n")
	files[name] = b.Bytes()
}

// makeVectors computes the files of testdata/vectors but the README.
func makeVectors(t *testing.T) vectorFiles {
	t.Helper()
	files := vectorFiles{}
	list(t, files, "inclusion.json", inclusionVectors())
	list(t, files, "consistency.json", consistencyVectors())
	list(t, files, "tiles.json", tileVectors(t))
	list(t, files, "bundles.json", bundleVectors(t))
	list(t, files, "samples.json", sampleVectors())
	trail := newProofTrail(t, 12)
	policies(t, files, trail)
	proofs(t, files, trail)
	consistencyProofs(t, files, trail)
	return files
}

// The proofs in the vectors are computed by the definition, not with the code that
// is checked by them.

func inclusionVectors() (all []inclusionVector) {
	const most = 257
	d := leaves(most)
	add := func(i, size int) inclusionVector {
		v := inclusionVector{fmt.Sprintf("entry %d of %d", i, size), uint64(i), uint64(size), d[i], mth(d[:size]), auditPath(i, d[:size]), true, ""}
		all = append(all, v)
		return v
	}
	for size := 1; size <= 9; size++ {
		for i := range size {
			add(i, size)
		}
	}
	for _, size := range []int{100, 255, 256, 257} {
		for _, i := range []int{0, 63, 64, size - 2, size - 1} {
			add(i, size)
		}
	}
	good := add(20, 45)
	bad := func(cause string, change func(v *inclusionVector)) {
		v := good
		v.Proof, v.Name, v.Valid, v.Cause = slices.Clone(good.Proof), "not "+good.Name, false, cause
		change(&v)
		all = append(all, v)
	}
	bad("the leaf hash is that of another entry", func(v *inclusionVector) { v.Leaf = d[21] })
	bad("the index is another one", func(v *inclusionVector) { v.Index = 21 })
	bad("the index is the size", func(v *inclusionVector) { v.Index = 45 })
	bad("the size is another one, and the path with it", func(v *inclusionVector) { v.Size = 65 })
	bad("the root is that of another size", func(v *inclusionVector) { v.Root = mth(d[:46]) })
	bad("a hash has one bit changed", func(v *inclusionVector) { v.Proof[2][31] ^= 1 })
	bad("the first hash is missing", func(v *inclusionVector) { v.Proof = v.Proof[1:] })
	bad("the last hash is missing", func(v *inclusionVector) { v.Proof = v.Proof[:len(v.Proof)-1] })
	bad("there is a hash too many", func(v *inclusionVector) { v.Proof = append(v.Proof, d[0]) })
	bad("the hashes are in reverse order", func(v *inclusionVector) { slices.Reverse(v.Proof) })
	bad("the proof is empty", func(v *inclusionVector) { v.Proof = nil })
	bad("an inner node is passed for a leaf, one level up", func(v *inclusionVector) {
		v.Leaf, v.Index, v.Proof = NodeHash(d[20], d[21]), 10, v.Proof[1:]
	})
	for i := range all {
		if all[i].Proof == nil {
			all[i].Proof = []Hash{}
		}
	}
	return all
}

func consistencyVectors() (all []consistencyVector) {
	d := leaves(257)
	add := func(old, size int) consistencyVector {
		v := consistencyVector{fmt.Sprintf("from %d to %d", old, size), uint64(old), uint64(size), mth(d[:old]), mth(d[:size]), nil, true, ""}
		if old > 0 {
			v.Proof = subproof(old, d[:size], true)
		}
		all = append(all, v)
		return v
	}
	for size := range 10 {
		for old := range size + 1 {
			add(old, size)
		}
	}
	for _, size := range []int{100, 255, 256, 257} {
		for _, old := range []int{1, 64, 65, 99, size - 1} {
			add(old, size)
		}
	}
	good := add(21, 45)
	bad := func(cause string, change func(v *consistencyVector)) {
		v := good
		v.Proof, v.Name, v.Valid, v.Cause = slices.Clone(good.Proof), "not "+good.Name, false, cause
		change(&v)
		all = append(all, v)
	}
	fork := slices.Clone(d)
	fork[3] = leafOf(1000)
	bad("the old tree has another entry 3", func(v *consistencyVector) { v.OldRoot = mth(fork[:21]) })
	bad("the new tree has another entry 3", func(v *consistencyVector) { v.Root, v.Proof = mth(fork[:45]), subproof(21, fork[:45], true) })
	bad("the old size is another one", func(v *consistencyVector) { v.Old = 22 })
	bad("the sizes are the wrong way round", func(v *consistencyVector) {
		v.Old, v.Size, v.OldRoot, v.Root = v.Size, v.Old, v.Root, v.OldRoot
	})
	bad("a hash has one bit changed", func(v *consistencyVector) { v.Proof[2][0] ^= 0x80 })
	bad("the first hash is missing", func(v *consistencyVector) { v.Proof = v.Proof[1:] })
	bad("there is a hash too many", func(v *consistencyVector) { v.Proof = append(v.Proof, d[0]) })
	bad("the proof is empty", func(v *consistencyVector) { v.Proof = nil })
	bad("the sizes are equal and the roots are not", func(v *consistencyVector) {
		v.Size, v.Root, v.Proof = 21, mth(fork[:21]), nil
	})
	bad("the sizes are equal and the proof is not empty", func(v *consistencyVector) { v.Size, v.Root = 21, v.OldRoot })
	bad("the old tree is empty and the proof is not", func(v *consistencyVector) { v.Old, v.OldRoot = 0, emptyRoot })
	bad("the old tree is empty and its root is not the hash of nothing", func(v *consistencyVector) {
		v.Old, v.OldRoot, v.Proof = 0, Hash{}, nil
	})
	for i := range all {
		if all[i].Proof == nil {
			all[i].Proof = []Hash{}
		}
	}
	return all
}

func tileVectors(t *testing.T) (all []tileVector) {
	t.Helper()
	for _, v := range []struct {
		path string
		tile vectorTile
	}{
		{"tile/0/000", vectorTile{"0", 0, 256, 256}},
		{"tile/0/000.p/1", vectorTile{"0", 0, 1, 1}},
		{"tile/0/001.p/255", vectorTile{"0", 1, 255, 511}},
		{"tile/1/000.p/1", vectorTile{"1", 0, 1, 256}},
		{"tile/1/001.p/17", vectorTile{"1", 1, 17, 69888}},
		{"tile/2/000.p/1", vectorTile{"2", 0, 1, 65536}},
		{"tile/3/x001/x234/067", vectorTile{"3", 1234067, 256, 1234068 << 32}},
		{"tile/7/000.p/255", vectorTile{"7", 0, 255, 255 << 56}},
		{"tile/8/000.p/1", vectorTile{"8", 0, 1, 0}},
		{"tile/63/x009/x223/x372/x036/x854/x775/807", vectorTile{"63", 1<<63 - 1, 256, 0}},
		{"tile/entries/000", vectorTile{"entries", 0, 256, 256}},
		{"tile/entries/273.p/112", vectorTile{"entries", 273, 112, 70000}},
		{"tile/entries/x001/000", vectorTile{"entries", 1000, 256, 256256}},
	} {
		all = append(all, tileVector{Path: v.path, Tile: &v.tile, Valid: true})
	}
	bad := map[string]string{
		"":                       "it is empty",
		"/tile/0/000":            "there is a slash in front",
		"tile/0":                 "there is no index",
		"tile/0/":                "the index is empty",
		"tile/64/000":            "the level is above 63",
		"tile/-1/000":            "the level is negative",
		"tile/00/000":            "the level has a zero in front",
		"tile/+1/000":            "the level has a sign",
		"tile/0/0":               "the index has fewer than three digits",
		"tile/0/1000":            "a group has more than three digits",
		"tile/0/x000":            "the last group has an x",
		"tile/0/x000/001":        "there is a group of zeros in front",
		"tile/0/001/000":         "a group that is not the last has no x",
		"tile/0/X001/000":        "the X is a capital",
		"tile/0/x001//000":       "a group is empty",
		"tile/0/000/":            "there is a slash behind",
		"tile/0/../000":          "a group is no number",
		"tile/0/000.p/0":         "the width is 0",
		"tile/0/000.p/256":       "a full tile is written as a partial one",
		"tile/0/000.p/05":        "the width has a zero in front",
		"tile/0/000.p/":          "the width is empty",
		"tile/0/000.p":           "there is no width",
		"tile/0/000.p/5/":        "there is something behind the width",
		"tile/8/0/000":           "it is a path of the Go checksum database",
		"tile/entry/000":         "the level is neither a number nor entries",
		"tile/entries/x001/x000": "the last group has an x",
		"tile/0/x010/x000/x000/x000/x000/x000/000": "the index is 2^63 or more",
	}
	for _, path := range slices.Sorted(maps.Keys(bad)) {
		all = append(all, tileVector{Path: path, Cause: bad[path]})
	}
	return all
}

func bundleVectors(t *testing.T) []bundleVector {
	t.Helper()
	two := [][]byte{[]byte("first"), []byte("second")}
	b := bundle(t, two...)
	one := slices.Repeat([][]byte{[]byte("x")}, TileWidth)
	bad := func(name string, b []byte, width int, cause string) bundleVector {
		return bundleVector{Name: name, Bundle: b, Width: width, Cause: cause}
	}
	return []bundleVector{
		{Name: "two entries", Bundle: b, Width: 2, Entries: two, Valid: true},
		{Name: "an empty entry", Bundle: []byte{0, 0}, Width: 1, Entries: [][]byte{{}}, Valid: true},
		{Name: "a full bundle", Bundle: bundle(t, one...), Width: TileWidth, Entries: one, Valid: true},
		bad("one entry expected", b, 1, "the bundle goes on behind the last entry"),
		bad("three entries expected", b, 3, "the bundle ends before the length of entry 2"),
		bad("half a length", b[:8], 2, "the bundle ends within the length of entry 1"),
		bad("half an entry", b[:len(b)-1], 2, "the bundle ends within entry 1"),
		bad("a byte behind", append(bytes.Clone(b), 0), 2, "the bundle goes on behind the last entry"),
		bad("no width", []byte{}, 0, "a bundle has at least one entry"),
		bad("more than a full bundle", bundle(t, append(one, one[0])...), TileWidth+1, "a bundle has at most 256 entries"),
	}
}

func sampleVectors() (all []sampleVector) {
	add := func(name, seed string, root Hash, size uint64, n int) {
		v := sampleVector{Name: name, Seed: []byte(seed), Root: root, Size: decimal(size), N: n, Indices: []decimal{}}
		for _, i := range Sample(v.Seed, root, size, n) {
			v.Indices = append(v.Indices, decimal(i))
		}
		all = append(all, v)
	}
	root := leafOf(0)
	add("ten of a thousand", "seed", root, 1000, 10)
	add("twelve of a thousand begin with the ten", "seed", root, 1000, 12)
	add("another seed", "seed 2", root, 1000, 10)
	add("an empty seed", "", root, 1000, 10)
	add("another root", "seed", leafOf(1), 1000, 10)
	add("another size", "seed", root, 1001, 10)
	add("all", "seed", root, 16, 16)
	add("more than all", "seed", root, 16, 17)
	add("one of one", "seed", root, 1, 1)
	add("of nothing", "seed", root, 0, 3)
	add("a size at which half of the numbers are passed over", "seed", root, 1<<63+1, 10)
	return all
}

// policies adds policy files, and the checkpoints to open with them.
func policies(t *testing.T, files vectorFiles, trail *proofTrail) {
	t.Helper()
	const size = 12
	lines := policyLines(t)
	groups := "\n# The example of the specification.\ngroup X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\ngroup X-and-Y all X-witnesses Y-witnesses\n"
	other := testSigner(t, testOrigin, "b")
	c := Checkpoint{Origin: testOrigin, Size: size, Root: trail.stored.root(t, size)}
	elsewhere := c
	elsewhere.Origin = "example.org/other"
	log := "log " + trail.log.VerifierKey() + "\n"

	for name, signed := range map[string][]byte{
		"plain":             trail.checkpoint(t, size),
		"x1":                trail.checkpoint(t, size, "x1"),
		"x1-x2":             trail.checkpoint(t, size, "x1", "x2"),
		"x1-x2-y3":          trail.checkpoint(t, size, "x1", "x2", "y3"),
		"other-key":         cosignedCheckpoint(t, &c, other, "x1", "x2", "y3"),
		"other-origin":      cosignedCheckpoint(t, &elsewhere, testSigner(t, elsewhere.Origin, "a"), "x1"),
		"wrong-cosignature": breakSignature(t, trail.checkpoint(t, size, "x1", "x2", "y3")),
	} {
		files["checkpoints/"+name] = signed
	}
	check := func(name, step string) checkpointCheck {
		return checkpointCheck{File: "checkpoints/" + name, Valid: step == "", Step: step}
	}
	refused := []checkpointCheck{check("other-key", stepLog), check("other-origin", stepLog)}
	var all []policyVector
	good := func(name, text string, checks ...checkpointCheck) {
		files["policies/"+name+".policy"] = []byte(text)
		all = append(all, policyVector{File: "policies/" + name + ".policy", Valid: true, Checkpoints: append(checks, refused...)})
	}
	good("none", lines+"quorum none\n", check("plain", ""), check("x1", ""), check("wrong-cosignature", stepCosignature))
	good("no-witnesses", log+"quorum none\n", check("plain", ""), check("wrong-cosignature", ""))
	good("one-witness", lines+"quorum X1\n", check("plain", stepQuorum), check("x1", ""), check("x1-x2-y3", ""))
	good("any", lines+"group g any Y1 X2 Y2\nquorum g\n", check("x1", stepQuorum), check("x1-x2", ""))
	good("all", lines+"group g all X1 Y3\nquorum g\n", check("x1-x2", stepQuorum), check("x1-x2-y3", ""))
	good("two-of-three", lines+"group g 2 X1 X2 X3\nquorum g\n", check("x1", stepQuorum), check("x1-x2", ""))
	good("groups", lines+groups+"quorum X-and-Y\n", check("x1-x2", stepQuorum), check("x1-x2-y3", ""), check("wrong-cosignature", stepCosignature))
	good("white-space", strings.ReplaceAll(log, " ", " \t ")+"\n\t\n  # quorum X1\n\tquorum none \t\n", check("plain", ""))
	good("unsupported-witness", lines+"witness pq "+mlDSA("pq")+"\ngroup g any X1 pq\nquorum g\n", check("plain", stepQuorum), check("x1", ""))
	good("urls", "log "+trail.log.VerifierKey()+" https://example.org/trail\nwitness X1 "+testWitness(t, "x1").VerifierKey()+" https://witness.example.com\nquorum X1\n", check("plain", stepQuorum), check("x1", ""))
	good("names-of-any-octets", log+"witness \xe2\x84\xaa "+testWitness(t, "x1").VerifierKey()+"\nwitness K "+testWitness(t, "x2").VerifierKey()+"\ngroup \xff all \xe2\x84\xaa\nquorum \xff\n", check("plain", stepQuorum), check("x1", ""))
	refused = nil
	good("no-log", "quorum none\n", check("plain", stepLog))

	bad := func(name, text string, line int, cause string) {
		files["policies/"+name+".policy"] = []byte(text)
		all = append(all, policyVector{File: "policies/" + name + ".policy", Line: line, Cause: cause})
	}
	x1, x2 := testWitness(t, "x1").VerifierKey(), testWitness(t, "x2").VerifierKey()
	two := "witness X1 " + x1 + "\nwitness X2 " + x2 + "\n"
	bad("bad-empty", "", 0, "there is no quorum")
	bad("bad-no-quorum", log+two, 0, "there is no quorum")
	bad("bad-two-quorums", log+two+"quorum X1\nquorum X2\n", 5, "there are two quorums")
	bad("bad-not-terminated", "quorum none", 1, "the last line does not end in a newline")
	bad("bad-carriage-return", log[:len(log)-1]+"\r\nquorum none\r\n", 1, "a line has a carriage return")
	bad("bad-keyword", "logs x\nquorum none\n", 1, "the keyword is unknown")
	bad("bad-log-twice", log+"log "+trail.log.VerifierKey()+" https://example.org\nquorum none\n", 2, "the log's public key is there twice")
	bad("bad-log-key-id", "log "+strings.Replace(trail.log.VerifierKey(), "+", "+0", 1)+"\nquorum none\n", 1, "the key id has nine digits")
	bad("bad-log-of-witness", "log "+x1+"\nquorum none\n", 1, "the key is one that witnesses cosign with")
	bad("bad-witness-of-log", "witness X1 "+trail.log.VerifierKey()+"\nquorum none\n", 1, "the key is one that logs sign with")
	bad("bad-witness-twice", "witness a "+x1+"\nwitness b "+x1+"\nquorum none\n", 2, "the witness's public key is there twice")
	bad("bad-witness-none", "witness none "+x1+"\nquorum none\n", 1, "the name none is taken")
	bad("bad-name-twice", "witness a "+x1+"\nwitness a "+x2+"\nquorum none\n", 2, "the name is there twice")
	bad("bad-forward", "group g any X1\n"+two+"quorum g\n", 1, "the group refers to a name that is defined later")
	bad("bad-quorum-forward", "quorum X1\n"+two, 1, "the quorum refers to a name that is defined later")
	bad("bad-threshold-zero", two+"group g 0 X1 X2\nquorum g\n", 3, "the threshold is 0")
	bad("bad-threshold-above", two+"group g 3 X1 X2\nquorum g\n", 3, "the threshold is above the number of members")
	bad("bad-no-members", two+"group g any\nquorum g\n", 3, "the group has no members")
	bad("bad-member-none", two+"group g any none\nquorum g\n", 3, "none cannot be a member")
	bad("bad-member-twice", two+"group g 2 X1 X1\nquorum g\n", 3, "a member is there twice")
	bad("bad-member-of-two", two+"group g any X1\ngroup h any X1\nquorum h\n", 4, "a name is a member of two groups")
	list(t, files, "policies.json", all)
}

// breakSignature changes the last signature of a note.
func breakSignature(t *testing.T, signed []byte) []byte {
	t.Helper()
	at := bytes.LastIndexByte(signed, ' ') + 1
	raw, err := base64.StdEncoding.DecodeString(string(signed[at : len(signed)-1]))
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	return append(base64.StdEncoding.AppendEncode(signed[:at:at], raw), '\n')
}

const vectorPolicyFile = "policies/two-of-three.policy"

func proofs(t *testing.T, files vectorFiles, trail *proofTrail) {
	t.Helper()
	var all []proofVector
	good := func(name string, i, size uint64, payload bool, witnesses ...string) {
		d := trail.disclosed[i]
		if !payload {
			d = Disclosed{Entry: d.Entry}
		}
		file := "proofs/" + name + ".tlog-proof"
		files[file] = marshal(t, trail.prove(t, &d, i, size, witnesses...))
		proven := vectorProven{Index: i, Size: size, Hash: LeafHash(d.Entry), Payload: d.Payload}
		for n, name := range witnesses {
			proven.Cosigned = append(proven.Cosigned, cosigner{name, specTime.Add(time.Duration(n) * time.Second)})
		}
		all = append(all, proofVector{File: file, Policy: vectorPolicyFile, Proves: &proven, Valid: true})
	}
	good("first-of-one", 0, 1, false, "x1", "x2")
	good("last-of-twelve", 11, 12, false, "x3", "x1")
	good("payload", 4, 12, true, "x1", "x2")
	good("three-cosignatures", 7, 11, true, "x1", "x2", "x3")

	bad := func(name, step, cause string, text []byte) {
		file := "proofs/" + name + ".tlog-proof"
		files[file] = text
		all = append(all, proofVector{File: file, Policy: vectorPolicyFile, Step: step, Cause: cause})
	}
	d := trail.disclosed[4]
	change := func(change func(p *Proof)) []byte {
		p := trail.prove(t, &d, 4, 12, "x1", "x2")
		change(p)
		return marshal(t, p)
	}
	disclose := func(d Disclosed) []byte { return change(func(p *Proof) { p.Extra = marshal(t, &d) }) }
	text := func(old, new string) []byte {
		s := string(files["proofs/payload.tlog-proof"])
		if !strings.Contains(s, old) {
			t.Fatalf("no %q in %q", old, s)
		}
		return []byte(strings.Replace(s, old, new, 1))
	}
	bad("bad-version", stepParse, "the version is 2", text("@v1", "@v2"))
	bad("bad-index-zero", stepParse, "the index has a zero in front", text("index 4", "index 04"))
	bad("bad-crlf", stepParse, "the first line ends in carriage return and newline", text("\n", "\r\n"))
	bad("bad-no-empty-line", stepParse, "there is no empty line before the checkpoint", text("\n\n", "\n"))
	bad("bad-empty-extra", stepParse, "the extra data is empty", text("index 4", "extra \nindex 4"))
	bad("bad-end", stepParse, "the last newline is missing", bytes.TrimSuffix(files["proofs/payload.tlog-proof"], []byte("\n")))
	bad("bad-no-extra", stepDisclosed, "no entry is disclosed", change(func(p *Proof) { p.Extra = nil }))
	bad("bad-extra", stepDisclosed, "the extra data is of another application", change(func(p *Proof) { p.Extra = []byte("something else") }))
	bad("bad-entry", stepDisclosed, "the entry is not canonical", disclose(Disclosed{Entry: bytes.Replace(d.Entry, []byte(":"), []byte(": "), 1)}))
	bad("bad-payload", stepCommitment, "the payload is another one", disclose(Disclosed{d.Entry, d.Salt, []byte(`{"event_type":"x","n":5}`)}))
	bad("bad-salt", stepCommitment, "the salt is another one", disclose(Disclosed{d.Entry, trail.disclosed[5].Salt, d.Payload}))
	bad("bad-other-entry", stepIndex, "entry 5 is disclosed in a proof for index 4", disclose(trail.disclosed[5]))
	bad("bad-forged-entry", stepInclusion, "the entry has another type than the one in the tree", disclose(Disclosed{Entry: bytes.Replace(d.Entry, []byte(`"type":"x"`), []byte(`"type":"y"`), 1)}))
	bad("bad-hash", stepInclusion, "a hash has one bit changed", change(func(p *Proof) { p.Hashes[0][0] ^= 1 }))
	bad("bad-hash-missing", stepInclusion, "the last hash is missing", change(func(p *Proof) { p.Hashes = p.Hashes[:len(p.Hashes)-1] }))
	bad("bad-size", stepInclusion, "the checkpoint is over fewer entries", change(func(p *Proof) { p.Checkpoint = trail.checkpoint(t, 4, "x1", "x2") }))
	bad("bad-root", stepInclusion, "the log and its witnesses signed another tree", change(func(p *Proof) {
		p.Checkpoint = cosignedCheckpoint(t, &Checkpoint{Origin: testOrigin, Size: 12, Root: leafOf(0)}, trail.log, "x1", "x2")
	}))
	bad("bad-log", stepLog, "another key with the log's name signed the checkpoint", change(func(p *Proof) { p.Checkpoint = files["checkpoints/other-key"] }))
	bad("bad-changed-checkpoint", stepLog, "the size was changed behind the signature", text("\n12\n", "\n13\n"))
	bad("bad-cosignature", stepCosignature, "a cosignature by a known key is wrong", change(func(p *Proof) { p.Checkpoint = breakSignature(t, trail.checkpoint(t, 12, "x1", "x2")) }))
	bad("bad-quorum", stepQuorum, "two of the witnesses X1, X2 and X3 are required, and one cosigned", change(func(p *Proof) { p.Checkpoint = trail.checkpoint(t, 12, "x1", "y1", "y2") }))
	list(t, files, "proofs.json", all)
}

func consistencyProofs(t *testing.T, files vectorFiles, trail *proofTrail) {
	t.Helper()
	var all []consistencyProofVector
	good := func(name string, old, size uint64) {
		file := "consistency/" + name
		files[file] = marshal(t, trail.proveConsistency(t, old, size, "x1", "x2"))
		all = append(all, consistencyProofVector{File: file, Policy: vectorPolicyFile, Sizes: []uint64{old, size}, Valid: true})
	}
	good("from-7-to-12", 7, 12)
	good("from-8-to-12", 8, 12)
	good("from-nothing", 0, 12)
	good("same", 12, 12)

	bad := func(name, step, cause string, text []byte) {
		file := "consistency/" + name
		files[file] = text
		all = append(all, consistencyProofVector{File: file, Policy: vectorPolicyFile, Step: step, Cause: cause})
	}
	change := func(change func(p *ConsistencyProof)) []byte {
		p := trail.proveConsistency(t, 7, 12, "x1", "x2")
		change(p)
		return marshal(t, p)
	}
	text := files["consistency/from-7-to-12"]
	other := testSigner(t, "example.org/other", "c")
	elsewhere := func(c Checkpoint) []byte { return cosignedCheckpoint(t, &c, other, "x1", "x2") }
	fork := func(size uint64) []byte {
		return cosignedCheckpoint(t, &Checkpoint{Origin: testOrigin, Size: size, Root: leafOf(0)}, trail.log, "x1", "x2")
	}
	bad("bad-version", stepParse, "the version is 2", bytes.Replace(text, []byte(" v1\n"), []byte(" v2\n"), 1))
	bad("bad-one-checkpoint", stepParse, "the second checkpoint is missing", text[:bytes.LastIndex(text, []byte("\n"+testOrigin))])
	bad("bad-end", stepParse, "the last newline is missing", bytes.TrimSuffix(text, []byte("\n")))
	bad("bad-hash", stepConsistency, "a hash has one bit changed", change(func(p *ConsistencyProof) { p.Hashes[1][0] ^= 1 }))
	bad("bad-hash-missing", stepConsistency, "the first hash is missing", change(func(p *ConsistencyProof) { p.Hashes = p.Hashes[1:] }))
	bad("bad-order", stepConsistency, "the checkpoints are the wrong way round", change(func(p *ConsistencyProof) { p.Old, p.New = p.New, p.Old }))
	bad("bad-fork", stepConsistency, "the old checkpoint is over another tree", change(func(p *ConsistencyProof) { p.Old = fork(7) }))
	bad("bad-fork-of-same-size", stepConsistency, "two checkpoints over 12 entries have different roots", change(func(p *ConsistencyProof) {
		p.Old, p.Hashes = fork(12), nil
	}))
	bad("bad-old-log", stepLog, "another key with the log's name signed the new checkpoint", change(func(p *ConsistencyProof) { p.New = files["checkpoints/other-key"] }))
	bad("bad-cosignature", stepCosignature, "a cosignature by a known key is wrong", change(func(p *ConsistencyProof) { p.Old = breakSignature(t, p.Old) }))
	bad("bad-quorum", stepQuorum, "one witness cosigned the old checkpoint, and two are required", change(func(p *ConsistencyProof) { p.Old = trail.checkpoint(t, 7, "x1") }))

	files["policies/two-logs.policy"] = []byte(policyLines(t) + "log " + other.VerifierKey() + "\nquorum none\n")
	file := "consistency/bad-origin"
	files[file] = change(func(p *ConsistencyProof) {
		p.Old = elsewhere(Checkpoint{Origin: "example.org/other", Size: 7, Root: trail.stored.root(t, 7)})
	})
	all = append(all, consistencyProofVector{File: file, Policy: "policies/two-logs.policy", Step: stepOrigin, Cause: "the checkpoints are of two logs, both of which are known"})
	list(t, files, "consistency-proofs.json", all)
}
