package witness

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// Answer is what became of asking a witness, in a word.
type Answer string

const (
	Cosigned    Answer = "cosigned"
	Silent      Answer = "silent"          // it gave no answer, or none that has a meaning here
	Unknown     Answer = "unknown-ledger"  // it knows no such ledger, or no such key of it
	Ahead       Answer = "ahead"           // it has seen more of the log than it was asked about: somebody else asked it meanwhile
	Forked      Answer = "another-history" // it has cosigned one that the head does not begin with
	BadCosigner Answer = "bad-signature"   // what it signed does not verify with its key
)

// Answers are all of them.
var Answers = []Answer{Cosigned, Silent, Unknown, Ahead, Forked, BadCosigner}

const (
	// askTime is how long a witness may take in all.
	askTime = 10 * time.Second
	// tries are how often it is asked at most, each time with the size that it named.
	tries = 4
	// maxAnswer is the most bytes of an answer that are read.
	maxAnswer = 16 << 10
)

// Witness is one that is asked. It must not be asked twice at the same time.
type Witness struct {
	URL string // submission prefix: "/add-checkpoint" is put behind it
	Key ledgerclient.TimeVerifier

	old uint64 // of the head that it cosigned last, as far as is known
}

// ValidURL reports whether a text can be the submission prefix of a witness: http or https.
// What is asked is public and what is answered is signed, so that TLS adds nothing to it.
func ValidURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && u.Opaque == "" && !strings.HasSuffix(text, "/")
}

// client follows nobody who points elsewhere.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Ask asks the witness to cosign a head, of which prove gives the proof that the log of a
// smaller size is its beginning. head.Note is what it gets to see. The cosignature is
// returned as a line of a note.
func (w *Witness) Ask(ctx context.Context, head ledgerclient.Head, prove func(ctx context.Context, old uint64) ([]crypto.Hash, error)) (line string, answer Answer) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for range tries {
		if w.old > head.Size {
			break
		}
		r := Request{Old: w.old, Note: head.Note}
		if w.old > 0 && w.old < head.Size {
			var err error
			if r.Proof, err = prove(ctx, w.old); err != nil || len(r.Proof) > MaxProof {
				return "", Silent
			}
		}
		status, body, ok := w.post(ctx, r.Marshal())
		if !ok {
			return "", Silent
		}
		switch status {
		case http.StatusOK:
			// To the text of the note, which has no signature of the witness yet.
			end := bytes.LastIndex(head.Note, []byte("\n\n"))
			if line, _ = w.Key.Newest(append(bytes.Clone(head.Note[:end+2]), body...)); line == "" {
				return "", BadCosigner
			}
			w.old = head.Size
			return line, Cosigned
		case http.StatusConflict:
			size, err := strconv.ParseUint(strings.TrimSuffix(string(body), "\n"), 10, 63)
			switch {
			case r.Old == head.Size && (err != nil || size == r.Old): // its root is another one
				return "", Forked
			case err != nil || size == r.Old:
				return "", Silent
			}
			w.old = size
		case http.StatusUnprocessableEntity:
			return "", Forked
		case http.StatusForbidden, http.StatusNotFound:
			return "", Unknown
		default:
			return "", Silent
		}
	}
	return "", Ahead
}

// post sends a request. ok: there is an answer, of whatever status.
func (w *Witness) post(ctx context.Context, body []byte) (status int, answer []byte, ok bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, false
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, false
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	return resp.StatusCode, answer, err == nil && len(answer) <= maxAnswer
}
