package bundle

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// The parts of the page that shows and checks a bundle in a browser.
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/hash.js
	hashJS string
	//go:embed page/zip.js
	zipJS string
	//go:embed page/note.js
	noteJS string
	//go:embed page/check.js
	checkJS string
	//go:embed page/show.js
	showJS string
)

// pageTemplate is the page without data. Its policy allows what is in it and
// nothing else: no other script or style, no network (CSP Level 3).
var pageTemplate = func() []byte {
	script := "\n" + `"use strict";` + "\n" + hashJS + zipJS + noteJS + checkJS + showJS
	style := "\n" + pageCSS
	return []byte(strings.NewReplacer(
		"{{style}}", style, "{{style-hash}}", cspHash(style),
		"{{script}}", script, "{{script-hash}}", cspHash(script),
	).Replace(pageHTML))
}()

func cspHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// The data of a page stands between these, once.
const (
	dataStart = `<script type="application/json" id="data">`
	dataEnd   = `</script>`
)

// fillPage returns index.html for the other files of a bundle.
func fillPage(files []file) ([]byte, error) {
	data, err := pageData(files)
	if err != nil {
		return nil, err
	}
	head, tail, _ := bytes.Cut(pageTemplate, []byte(dataStart))
	return bytes.Join([][]byte{head, []byte(dataStart), data, tail}, nil), nil
}

// pageData returns the files as a JSON object, in which none of the characters
// stand that could end the element around it. Time-stamp tokens are in base64.
func pageData(files []file) ([]byte, error) {
	text := make(map[string]string, len(files))
	for _, f := range files {
		switch {
		case path.Ext(f.name) == timestampSuffix:
			text[f.name] = base64.StdEncoding.EncodeToString(f.content)
		case !utf8.Valid(f.content):
			return nil, fmt.Errorf("%s is not UTF-8", f.name)
		default:
			text[f.name] = string(f.content)
		}
	}
	data, err := canonical(text)
	return bytes.ReplaceAll(data, []byte("<"), []byte(`\u003c`)), err
}

// splitPage returns a page's data and its digest without them.
func splitPage(page []byte) (data []byte, digest string, err error) {
	head, rest, ok := bytes.Cut(page, []byte(dataStart))
	data, tail, closed := bytes.Cut(rest, []byte(dataEnd))
	if !ok || !closed {
		return nil, "", errors.New("it has no element with the data of the bundle")
	}
	return data, pageDigest(bytes.Join([][]byte{head, []byte(dataStart + dataEnd), tail}, nil)), nil
}

func pageDigest(template []byte) string {
	sum := sha256.Sum256(template)
	return hex.EncodeToString(sum[:])
}

// shownFiles returns the files that a page has as its data.
func shownFiles(data []byte) (map[string]string, error) {
	var text map[string]string
	if err := json.Unmarshal(data, &text); err != nil {
		return nil, fmt.Errorf("its data cannot be read: %w", err)
	}
	return text, nil
}
