package bundle

import (
	"bytes"
	"testing"
)

// FuzzCheck gives the checker zips. The comment is made to fit, so that what is
// before it is read.
func FuzzCheck(f *testing.F) {
	trail := trail(f, 20)
	good := write(f, trail.contents(f, 15, 17))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > commentSize {
			b = bytes.Clone(b)
			recomment(b)
		}
		if report := check(t, b, nil); report.OK() && len(report.SignedBy) == 0 {
			t.Errorf("a bundle that nobody signed checks out: %+v", report)
		}
	})
}

// FuzzFiles gives the checker a bundle in which one file is another, and manifest
// and page fit it.
func FuzzFiles(f *testing.F) {
	trail := trail(f, 20)
	good := write(f, trail.contents(f, 5, 17))
	files, err := unpack(good, func(file, detail string) { f.Fatal(file, detail) })
	if err != nil {
		f.Fatal(err)
	}
	for i := range files[1:] {
		f.Add(byte(i), files[i+1].content)
	}
	f.Fuzz(func(t *testing.T, n byte, content []byte) {
		i := 1 + int(n)%(len(files)-1)
		altered := append([]file(nil), files...)
		altered[i].content = content
		report := checkFiles(altered, &CheckOptions{})
		if report.OK() && !bytes.Equal(content, files[i].content) {
			t.Errorf("%s altered: not seen", files[i].name)
		}
		for _, f := range report.Findings {
			if f.Cause == "" || f.Detail == "" || f.String() == "" {
				t.Errorf("finding says nothing: %+v", f)
			}
		}
	})
}
