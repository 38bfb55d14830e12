package wallet

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// role is what a thread is to this wallet.
type role int

const (
	ownRecord role = 1
	ownGrant  role = 2
	received  role = 3 // a grant addressed to this wallet
	ownBook   role = 4 // a hidden record: see book.go. A record until its description is known
)

// thread is one thread of the ledger that concerns this wallet.
type thread struct {
	role role
	id   contract.ID // of the opening entry
	ledgerclient.Thread
	state contract.State // after all of FollowUps

	versions []*metadata // of a record of one's own, oldest first; nil where the payload is missing
	keys     []*fileKey  // of the same; nil where it was not needed yet
	terms    *terms      // of a grant, once read and verified
	damaged  error       // why terms or a description that the store holds cannot be read; not cached
}

// seed is the seed of an entry of one's own; false if its self-tag is not one of
// this wallet's.
func (w *Wallet) seed(e *contract.Entry) (crypto.Seed, bool) {
	nonce, ok := w.tagger.Open(e.SelfTag)
	if !ok {
		return crypto.Seed{}, false
	}
	return w.root.Seed(w.client.ID(), nonce), true
}

// threads are all threads that concern this wallet, in the ledger's order.
type threads struct {
	loaded bool
	list   []*thread
	byID   map[contract.ID]*thread

	records []termsRecord // of the terms that came last; not to be written to
}

func newThreads() threads { return threads{byID: map[contract.ID]*thread{}} }

func (ts *threads) add(t *thread) {
	ts.list = append(ts.list, t)
	ts.byID[t.id] = t
}

// frame is one fact in the cache file. Exactly one of the pointers is set.
type frame struct {
	Open     *openFrame   `json:"open,omitempty"`
	Follow   *followFrame `json:"follow,omitempty"`
	Metadata *metaFrame   `json:"metadata,omitempty"`
	Terms    *termsFrame  `json:"terms,omitempty"`
	Key      *keyFrame    `json:"key,omitempty"`
}

type openFrame struct {
	Role  role          `json:"role"`
	Index uint64        `json:"index"`
	Hour  contract.Hour `json:"hour"`
	Entry []byte        `json:"entry"`
}

type followFrame struct {
	Index uint64        `json:"index"`
	Hour  contract.Hour `json:"hour"`
	Entry []byte        `json:"entry"` // names its thread
}

type metaFrame struct {
	Record  contract.ID `json:"record"`
	Version int         `json:"version"` // from 1
	Said    *metadata   `json:"said"`    // not embedded: encoding/json cannot read into an embedded pointer of this package
}

type termsFrame struct {
	Grant contract.ID `json:"grant"`
	Said  *terms      `json:"said"`
}

// keyFrame is the file key of a record version, which its owner could read from the
// content as well: with it a consent can be given when the store is out of reach.
type keyFrame struct {
	Record  contract.ID `json:"record"`
	Version int         `json:"version"` // from 1
	Key     fileKey     `json:"key"`
}

// maxFrame bounds one frame; terms that list thousands of records are the
// largest.
const maxFrame = 16 << 20

func (w *Wallet) frameName(n uint64) string {
	return fmt.Sprintf("%s/%s/%d", cacheFile, w.state.CacheID, n) // CacheID is random: no other ledger's
}

// readCache fills w.threads from the cache file. Whatever is wrong with it, the
// ledger has it all: the cache is emptied and the next follow rebuilds it.
func (w *Wallet) readCache() error {
	w.frames = nil
	w.threads = newThreads()
	err := w.loadCache()
	var path *fs.PathError
	if errors.As(err, &path) && !errors.Is(err, fs.ErrNotExist) {
		return err // cannot be read now: no reason to throw it away
	}
	if err != nil {
		w.threads = newThreads()
		w.resetCache()
	}
	w.threads.loaded = true
	return nil
}

// resetCache forgets the cache but not the head the wallet saw.
func (w *Wallet) resetCache() {
	w.state.CacheID, w.state.CacheSize, w.state.Frames, w.state.Rescan = newCacheID(), 0, 0, true
	w.frames = nil
	w.dirty = true
}

func (w *Wallet) loadCache() error {
	if w.state.CacheSize == 0 {
		return nil
	}
	f, err := os.Open(filepath.Join(w.dir, w.inLedger(cacheFile)))
	if err != nil {
		return err
	}
	defer f.Close()
	r := io.NewSectionReader(f, 0, w.state.CacheSize)
	for n := uint64(0); n < w.state.Frames; n++ {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return errCache
		}
		l := binary.BigEndian.Uint32(size[:])
		if l > maxFrame {
			return errCache
		}
		sealed := make([]byte, l)
		if _, err := io.ReadFull(r, sealed); err != nil {
			return errCache
		}
		plain, err := w.local.Open(w.frameName(n), sealed)
		if err != nil {
			return errCache
		}
		var fr frame
		if err := json.Unmarshal(plain, &fr); err != nil {
			return errCache
		}
		if err := w.apply(&fr); err != nil {
			return err
		}
	}
	return nil
}

var errCache = errors.New("cache does not fit the state")

// apply adds what a frame says to w.threads. Frames come from the sealed cache or
// from follow, which has judged the entries.
func (w *Wallet) apply(fr *frame) error {
	switch {
	case fr.Open != nil:
		e, err := contract.ParseEntry(fr.Open.Entry)
		if err != nil {
			return errCache
		}
		t := &thread{role: fr.Open.Role, id: e.ID(w.client.ID())}
		t.Opening = ledgerclient.Placed{Index: fr.Open.Index, Hour: fr.Open.Hour, Entry: e}
		if t.state, err = contract.Apply(w.client.Params(), contract.State{}, &e, t.id, fr.Open.Index, fr.Open.Hour); err != nil {
			return errCache
		}
		if t.role == ownRecord {
			t.versions, t.keys = append(t.versions, nil), append(t.keys, nil)
		}
		w.threads.add(t)
	case fr.Follow != nil:
		e, err := contract.ParseEntry(fr.Follow.Entry)
		if err != nil {
			return errCache
		}
		t := w.threads.byID[e.Subject]
		if t == nil {
			return errCache
		}
		if t.state, err = contract.Apply(w.client.Params(), t.state, &e, e.ID(w.client.ID()), fr.Follow.Index, fr.Follow.Hour); err != nil {
			return errCache
		}
		t.FollowUps = append(t.FollowUps, ledgerclient.Placed{Index: fr.Follow.Index, Hour: fr.Follow.Hour, Entry: e})
		if e.Kind == contract.KindRecord && e.Flags&contract.FlagWithdrawn == 0 {
			t.versions, t.keys = append(t.versions, nil), append(t.keys, nil)
		}
	case fr.Metadata != nil:
		t := w.threads.byID[fr.Metadata.Record]
		if t == nil || fr.Metadata.Said == nil || fr.Metadata.Version < 1 || fr.Metadata.Version > len(t.versions) {
			return errCache
		}
		t.versions[fr.Metadata.Version-1] = fr.Metadata.Said
		if fr.Metadata.Said.Hidden == hiddenBook {
			t.role = ownBook
		}
	case fr.Key != nil:
		t := w.threads.byID[fr.Key.Record]
		if t == nil || fr.Key.Version < 1 || fr.Key.Version > len(t.keys) {
			return errCache
		}
		t.keys[fr.Key.Version-1] = &fr.Key.Key
	case fr.Terms != nil:
		t := w.threads.byID[fr.Terms.Grant]
		if t == nil || fr.Terms.Said == nil {
			return errCache
		}
		// In a batch one after the other names the same records: they are kept once.
		if said := fr.Terms.Said; slices.Equal(said.Records, w.threads.records) {
			said.Records = w.threads.records
		} else {
			w.threads.records = said.Records
		}
		t.terms = fr.Terms.Said
	default:
		return errCache
	}
	return nil
}

// note applies a frame and keeps it for the cache file.
func (w *Wallet) note(fr frame) error {
	if err := w.apply(&fr); err != nil {
		return err
	}
	w.frames = append(w.frames, fr)
	return nil
}

// appendCache writes the new frames behind the committed ones and counts them in
// the state, which the caller then writes.
func (w *Wallet) appendCache() error {
	var out []byte
	for i := range w.frames {
		plain, err := json.Marshal(&w.frames[i])
		if err != nil {
			return err
		}
		sealed := w.local.Seal(w.frameName(w.state.Frames+uint64(i)), plain)
		out = binary.BigEndian.AppendUint32(out, uint32(len(sealed)))
		out = append(out, sealed...)
	}
	path := filepath.Join(w.dir, w.inLedger(cacheFile))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(w.state.CacheSize); err != nil {
		return err
	}
	if _, err := f.WriteAt(out, w.state.CacheSize); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if w.state.CacheSize == 0 {
		if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	w.state.CacheSize += int64(len(out))
	w.state.Frames += uint64(len(w.frames))
	w.frames = nil
	return nil
}
