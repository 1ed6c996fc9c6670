package tiles

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxRedirects is how many redirections are followed for one path.
	maxRedirects = 5

	// fetchTimeout bounds one fetch with the client that is used when none is given.
	fetchTimeout = time.Minute

	// gzipRoom is what gzip may add to content that does not get smaller by it.
	gzipRoom = 64 << 10
)

// HTTP returns the log that is served below an HTTP or HTTPS address. A nil
// client gives up on a fetch after a minute. At most five redirections are followed,
// unless the client says otherwise itself. Content may come compressed with gzip. How
// much is read is bounded by what can stand at a path, before and after decompressing.
//
// 404 and 410 say that there is nothing. Any other status but 200 is an error;
// nothing is tried twice.
func HTTP(prefix string, client *http.Client) Source {
	c := http.Client{Timeout: fetchTimeout}
	if client != nil {
		c = *client
	}
	if c.CheckRedirect == nil {
		c.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("it redirects more than %d times", maxRedirects)
			}
			return nil
		}
	}
	return &web{prefix: strings.TrimRight(prefix, "/") + "/", client: &c}
}

type web struct {
	prefix string
	client *http.Client
}

// Fetch implements [Source].
func (w *web) Fetch(ctx context.Context, path string) ([]byte, error) {
	limit, err := maxSize(path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.prefix+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "gzip, identity") // C2SP tlog-tiles, "Log entries"
	resp, err := w.client.Do(req)
	if err != nil {
		// What the client says names the address that it was redirected to last.
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("%s: %w", req.URL, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%s: %s: %w", req.URL, resp.Status, fs.ErrNotExist)
	default:
		return nil, fmt.Errorf("%s: the server answered %s", req.URL, resp.Status)
	}
	b, err := readBody(resp, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL, err)
	}
	return b, nil
}

// readBody reads a body, and decompresses it if a header says that it is compressed.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	switch coding := strings.ToLower(resp.Header.Get("Content-Encoding")); coding {
	case "", "identity":
		return readAll(resp.Body, limit)
	case "gzip", "x-gzip":
	default:
		return nil, fmt.Errorf("it is compressed with %.40q; only gzip was asked for", coding)
	}
	// Without a bound on what comes in, gzip members that hold nothing would be read
	// for ever.
	z, err := gzip.NewReader(io.LimitReader(resp.Body, limit+gzipRoom))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	b, err := readAll(z, limit)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = fmt.Errorf("gzip: %w", err)
	}
	return b, err
}
