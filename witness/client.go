package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/custodylog/custody/evidence"
)

// sizeType is the media type of the answer that names a tree size.
const sizeType = "text/x.tlog.size"

// maxResponseSize bounds what is read of an answer, in bytes.
const maxResponseSize = 64 << 10

// Client asks one witness for cosignatures. It may be used from several
// goroutines once its fields are set.
type Client struct {
	// URL is the witness's submission prefix, to which /add-checkpoint is
	// added.
	URL string

	// Key is the witness's. Without a signature of it nothing is accepted.
	Key *evidence.CosignatureVerifier

	// HTTP sends the requests. Default: http.DefaultClient, which sets no
	// limit of time; give one with the context.
	HTTP *http.Client
}

// AddCheckpoint submits a signed checkpoint (C2SP tlog-witness, "add-checkpoint").
// old is the size of the last checkpoint that the witness cosigned, and proof the
// RFC 6962 consistency proof from there; it is empty when old is 0 or the size of
// the checkpoint. It returns the witness's signature line, which was verified,
// for [evidence.AddCosignature].
//
// When the witness has another size than old, the error is a [*ConflictError].
func (c *Client) AddCheckpoint(ctx context.Context, old uint64, proof []evidence.Hash, checkpoint []byte) (line []byte, err error) {
	r := request{old, proof, checkpoint}
	url := strings.TrimSuffix(c.URL, "/") + "/add-checkpoint"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(r.append(nil)))
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w", c.Key.Name(), err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w: %w", c.Key.Name(), ErrTemporary, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseSize+1))
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w: %w", c.Key.Name(), ErrTemporary, err)
	}
	if len(answer) > maxResponseSize {
		return nil, fmt.Errorf("witness %s: its answer has more than %d bytes; is %s a witness?", c.Key.Name(), maxResponseSize, url)
	}
	if resp.StatusCode == http.StatusOK {
		line, err = c.cosignature(checkpoint, answer)
	} else {
		err = refusal(resp, answer)
	}
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w", c.Key.Name(), err)
	}
	return line, nil
}

// cosignature returns the line of an answer that the witness's key signed.
// Lines of other keys are ignored.
func (c *Client) cosignature(checkpoint, answer []byte) ([]byte, error) {
	signed, err := evidence.PeekCheckpoint(checkpoint)
	if err != nil {
		return nil, err
	}
	body := append(signed.AppendBody(nil), '\n')
	for line := range bytes.Lines(answer) {
		cosigned, err := evidence.Cosignatures(append(bytes.Clone(body), line...), c.Key)
		if err != nil {
			return nil, fmt.Errorf("its answer is not a cosignature of this checkpoint: %w; it begins %.60q", err, line)
		}
		if len(cosigned) == 0 {
			continue
		}
		if cosigned[0].Time.Unix() == 0 {
			return nil, errors.New("its cosignature carries no time")
		}
		return line, nil
	}
	return nil, fmt.Errorf("its answer has no signature of the key %s; check the verifier key", evidence.KeyID(c.Key.KeyHash()))
}

// refusal returns the error for an answer that is not 200.
func refusal(resp *http.Response, answer []byte) error {
	said := fmt.Sprintf("%s, %.200q", resp.Status, bytes.TrimSpace(answer))
	code := resp.StatusCode
	switch {
	case code == http.StatusConflict:
		if mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || mediaType != sizeType {
			return fmt.Errorf("it names a conflict and no size: %s", said)
		}
		size, err := parseSize(strings.TrimSuffix(string(answer), "\n"))
		if err != nil {
			return fmt.Errorf("it names a conflict and no size: %w", err)
		}
		return &ConflictError{size}
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrUnknownLog, said)
	case code == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrSignature, said)
	case code == http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %s", ErrInconsistent, said)
	case code == http.StatusTooManyRequests, code >= 500:
		return fmt.Errorf("%w: %s", ErrTemporary, said)
	}
	return fmt.Errorf("it answered %s", said)
}

// ProveFunc returns the RFC 6962 consistency proof between two sizes of a log,
// 0 < old < size.
type ProveFunc func(ctx context.Context, old, size uint64) ([]evidence.Hash, error)

// Cosign has a signed checkpoint cosigned. old is the size at which the witness is
// believed to be, 0 when nothing is known. When the witness is at another size,
// that is tried once.
//
// When the witness is at a larger size than the checkpoint, the error is an
// [*AheadError].
func (c *Client) Cosign(ctx context.Context, checkpoint []byte, old uint64, prove ProveFunc) (line []byte, err error) {
	ours, err := evidence.PeekCheckpoint(checkpoint)
	if err != nil {
		return nil, err
	}
	old = min(old, ours.Size) // the protocol allows no more; the witness says if it is
	line, err = c.addProved(ctx, checkpoint, old, ours.Size, prove)
	var conflict *ConflictError
	if !errors.As(err, &conflict) {
		return line, err
	}
	if conflict.Size > ours.Size {
		return nil, fmt.Errorf("witness %s: %w", c.Key.Name(), &AheadError{Witness: conflict.Size, Size: ours.Size})
	}
	return c.addProved(ctx, checkpoint, conflict.Size, ours.Size, prove)
}

// addProved submits a checkpoint with the proof from one size.
func (c *Client) addProved(ctx context.Context, checkpoint []byte, old, size uint64, prove ProveFunc) ([]byte, error) {
	var proof []evidence.Hash
	if old > 0 && old < size {
		var err error
		if proof, err = prove(ctx, old, size); err != nil {
			return nil, fmt.Errorf("consistency proof from %d to %d: %w", old, size, err)
		}
	}
	return c.AddCheckpoint(ctx, old, proof, checkpoint)
}
