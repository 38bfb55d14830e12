package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// store is the node's store.
type store struct{ n *Node }

// PutBlobs stores payloads; more than the node takes at a time go in several
// requests, of each of which all are stored or none.
func (s store) PutBlobs(ctx context.Context, puts []ledgerclient.Put) error {
	for i := range puts {
		if len(puts[i].Blob) > MaxBlob {
			return &RefusedError{Kind: KindTooLarge, Limit: MaxBlob}
		}
	}
	fit := func(at int) (count int) {
		for size := 0; at+count < len(puts) && count < MaxPuts; count++ {
			if size += putSize(&puts[at+count]); size > MaxPutsSize {
				break
			}
		}
		return count
	}
	return inParts(len(puts), fit, func(at, end int) error {
		_, err := s.n.wire.ask(ctx, question{service: ofStore, path: PathBlobs, body: PutsForm.Marshal(puts[at:end]), token: true})
		return err
	})
}

// Erase hands over a withdrawal. A node erases after a while: see PROTOCOL.md.
func (s store) Erase(ctx context.Context, withdrawal contract.Entry) error {
	_, err := s.n.wire.ask(ctx, question{service: ofStore, path: PathErase, body: EntriesForm.Marshal([]contract.Entry{withdrawal}), reads: true})
	return err
}

// maxStored is the most bytes that a store can hold under one locator: a content and the
// hashes of its pieces.
const maxStored = MaxContent + MaxContent/contract.PieceSize*32

// Blob opens a payload: its beginning is read at once.
func (s store) Blob(ctx context.Context, loc crypto.Locator) (ledgerclient.Blob, error) {
	b, err := s.blob(ctx, loc, 0)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (s store) blob(ctx context.Context, loc crypto.Locator, turn time.Duration) (*blob, error) {
	b := &blob{ctx: ctx, n: s.n, locator: hex.EncodeToString(loc[:]), size: -1, turn: turn}
	a, err := b.open(0, ledgerclient.FirstBytes-1)
	if err != nil {
		return nil, err
	}
	defer a.end()
	b.begin = make([]byte, min(ledgerclient.FirstBytes, b.size))
	if _, err := io.ReadFull(a.watch.reader(a.Body), b.begin); err != nil {
		return nil, a.err(err)
	}
	return b, nil
}

var _ ledgerclient.BulkStore = store{}

// Blobs opens payloads, as Blob does each.
func (s store) Blobs(ctx context.Context, locs []crypto.Locator, take func(int, ledgerclient.Blob, error) error) error {
	return s.blobs(ctx, locs, 0, func(i int, b *blob, err error) error {
		if err != nil {
			return take(i, nil, err)
		}
		return take(i, b, nil)
	})
}

func (s store) blobs(ctx context.Context, locs []crypto.Locator, turn time.Duration, take func(int, *blob, error) error) error {
	return bulk(ctx, s.n, bulkOf[*blob]{service: ofStore, asked: AskPayload, turn: turn,
		message: func(i int) []byte { return locs[i][:] },
		parse: func(i int, raw []byte) (*blob, error) {
			said, err := BeginningForm.Parse(raw)
			if err != nil {
				return nil, &ledgerclient.UnreachableError{Service: ofStore, Err: err}
			}
			return &blob{ctx: ctx, n: s.n, locator: hex.EncodeToString(locs[i][:]), turn: turn, size: int64(said.Size), begin: said.Bytes}, nil
		},
		alone: func(i int) (*blob, error) { return s.blob(ctx, locs[i], turn) },
		take:  take}, len(locs))
}

// blob is a payload of which parts are read when they are needed. Reads that follow
// on each other are taken from one answer.
type blob struct {
	ctx     context.Context
	n       *Node
	locator string
	size    int64 // -1 until the first answer
	begin   []byte
	turn    time.Duration // how long no byte may come while others are still to be asked; 0: there are none
	others  bool          // it is read on at another node where an answer breaks off

	mu     sync.Mutex
	stream *answering
	body   io.Reader
	at     int64 // where the stream is
}

// Size is what the node says. A reader checks it against what it expects.
func (b *blob) Size() int64 { return b.size }

// Close ends the answer that is being read.
func (b *blob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop()
	return nil
}

func (b *blob) drop() {
	if b.stream != nil {
		b.stream.end()
		b.stream, b.body = nil, nil
	}
}

// ReadAt reads from the beginning that is there, from the answer that is being
// read, or asks for more.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if off < 0 {
		return 0, fmt.Errorf("negative offset")
	}
	whole := len(p)
	p = p[:max(0, min(int64(whole), b.size-off))]
	n := copy(p, b.begin[min(off, int64(len(b.begin))):])
	// An answer that broke off is asked for again from where it did, as long as some of
	// it comes. Where others have it too that would go on byte by byte at one that gives
	// no more at a time.
	for n < len(p) {
		k, err := b.readOn(p[n:], off+int64(n))
		if n += k; err != nil && (b.others || k == 0 || !is[*ledgerclient.UnreachableError](err)) {
			return n, err
		}
	}
	if n < whole {
		return n, io.EOF
	}
	return n, nil
}

// readOn fills p from off, from the answer that is being read if it is there.
func (b *blob) readOn(p []byte, off int64) (n int, err error) {
	if b.at != off {
		b.drop()
	}
	if b.stream == nil { // what follows will be asked for too
		if b.stream, err = b.open(off, b.size-1); err != nil {
			return 0, err
		}
		b.body = b.stream.watch.reader(b.stream.Body)
	}
	b.stream.watch.resume()
	n, err = io.ReadFull(b.body, p)
	b.stream.watch.pause()
	b.at = off + int64(n)
	if err != nil {
		err = b.stream.err(err)
		b.drop()
		return n, err
	}
	if b.at == b.size {
		b.drop()
	}
	return n, nil
}

// open asks for the bytes [from, to] and leaves the answer to be read.
func (b *blob) open(from, to int64) (*answering, error) {
	q := question{service: ofStore, path: PathBlobs, reads: true, turn: b.turn,
		header: http.Header{HeaderLocator: {b.locator}, "Range": {"bytes=" + number(from) + "-" + number(to)}}}
	return b.n.wire.each(b.ctx, &q, func(a *answering) error { return b.checkRange(a, from, to) })
}

// checkRange checks that an answer is the part of the payload that was asked for,
// or, where that begins at 0, all of it.
func (b *blob) checkRange(a *answering, from, to int64) error {
	size := a.ContentLength
	switch a.StatusCode {
	case http.StatusOK:
		if from != 0 || size < 0 {
			return a.foreign()
		}
	case http.StatusPartialContent:
		span, total, ok := strings.Cut(strings.TrimPrefix(a.Header.Get("Content-Range"), "bytes "), "/")
		all, err := strconv.ParseInt(total, 10, 64)
		if !ok || err != nil || span != number(from)+"-"+number(min(to, all-1)) || size != min(to, all-1)-from+1 {
			return a.foreign()
		}
		size = all
	default:
		return a.foreign()
	}
	if size > maxStored {
		return a.err(ErrTooLarge.With("limit", maxStored))
	}
	if b.size >= 0 && size != b.size {
		return &ledgerclient.TamperedError{What: "payload", Err: errors.New("its size changed")}
	}
	b.size = size
	return nil
}
