package folder

import (
	"cmp"
	"context"
	"crypto/sha256"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// Nodes is how many nodes the ledger has.
func (f *Folder) Nodes() int { return len(f.config.Nodes) }

// Links are the links that are kept beside the ledger. Only the one process that serves the
// folder may open them: it remembers what it has counted.
func (f *Folder) Links(ctx context.Context) (*keeper.Links, error) {
	rules, err := f.keeper.open()
	if err != nil {
		return nil, err
	}
	return keeper.NewLinks(ctx, rules, &linkVault{ground: f.ground()})
}

// CheckLinks reads all that is kept of links but what is behind them. The error is the first
// thing that cannot be read, a *DamagedError among others.
func (f *Folder) CheckLinks(ctx context.Context) error {
	return (&linkVault{ground: f.ground()}).Kept(ctx, func(ledgerclient.LinkDeposit, crypto.Hash, []keeper.LinkStep, bool) {})
}

// linkVault is the folder `keeper/links`: segments of links, of what is behind them, and of
// the steps of their openings. They only grow, but for what is behind a link, which is
// overwritten when the link ends. Like shares they are in no copy of the ledger: a link that
// came back with one would count its openings anew.
type linkVault struct {
	*ground

	mu    sync.Mutex
	queue []*addedStep
	busy  bool
}

var _ keeper.LinkVault = (*linkVault)(nil)

// Kinds of records.
const (
	keptLink     byte = iota // hash 32 and the deposit without its file, under its grant
	keptLinkFile             // under underLink
	keptLinkStep             // under underLink
)

func underLink(kind byte, grant contract.ID) crypto.Hash {
	return sha256.Sum256(append([]byte{kind}, grant[:]...))
}

// allLinks is under what every link is found.
var allLinks = sha256.Sum256([]byte("links"))

func linkRecord(hour contract.Hour, kind byte, keys []crypto.Hash, body []byte) []byte {
	return appendRecord(nil, hour, kind, keys, nil, body)
}

// Keep keeps a link.
func (v *linkVault) Keep(ctx context.Context, d *ledgerclient.LinkDeposit) error {
	hash, short := d.Hash(), *d
	short.File = nil
	records := linkRecord(v.hour(), keptLinkFile, []crypto.Hash{underLink(keptLinkFile, d.Grant)}, d.File)
	// Behind its file: what is found was written as a whole.
	records = append(records, linkRecord(v.hour(), keptLink, []crypto.Hash{allLinks, crypto.Hash(d.Grant)}, append(hash[:], ledgerclient.Marshal(&short)...))...)
	return v.add(ctx, records)
}

func (v *linkVault) add(ctx context.Context, records []byte) error {
	return v.lock.write(ctx, func(snapshot) error {
		if err := v.links.settle(); err != nil {
			return err
		}
		return v.links.add(records, false)
	})
}

// addedStep is a step that waits for the disk.
type addedStep struct {
	record []byte
	err    error
	done   chan struct{}
}

// Add takes down a step. Those that come while the disk is waited for go together.
func (v *linkVault) Add(ctx context.Context, grant contract.ID, step keeper.LinkStep) error {
	s := &addedStep{done: make(chan struct{}), record: linkRecord(v.hour(), keptLinkStep, []crypto.Hash{underLink(keptLinkStep, grant)}, codec.Append(nil, step.Fields))}
	v.mu.Lock()
	v.queue = append(v.queue, s)
	if v.busy {
		v.mu.Unlock()
		<-s.done
		return s.err
	}
	v.busy = true
	for len(v.queue) > 0 {
		all := v.queue
		v.queue = nil
		v.mu.Unlock()
		var records []byte
		for _, s := range all {
			records = append(records, s.record...)
		}
		err := v.add(context.WithoutCancel(ctx), records) // they are others' too
		for _, s := range all {
			s.err = err
			close(s.done)
		}
		v.mu.Lock()
	}
	v.busy = false
	v.mu.Unlock()
	return s.err
}

// under calls fn with the records under a key, oldest first; without a body with those whose
// body is damaged.
func (v *linkVault) under(ctx context.Context, key crypto.Hash, fn func(r *found, body []byte) bool) error {
	return v.lock.read(ctx, func(snapshot) error {
		if err := v.links.look(); err != nil {
			return err
		}
		damaged, err := v.links.read(key, func(r *found, body []byte) bool {
			return r.mark != markHeld || fn(r, body) && body != nil
		})
		if err == nil && damaged != 0 {
			err = v.damaged(v.links.path(damaged), notWritten)
		}
		return err
	})
}

// Kept calls fn with each link; of one whose record is damaged it says the grant alone. The
// error is the first one.
func (v *linkVault) Kept(ctx context.Context, fn func(d ledgerclient.LinkDeposit, hash crypto.Hash, steps []keeper.LinkStep, whole bool)) error {
	type one struct {
		d    ledgerclient.LinkDeposit
		hash crypto.Hash
	}
	var all []one
	var lost []contract.ID
	err := v.under(ctx, allLinks, func(r *found, body []byte) bool {
		d, hash, ok := parseLink(body)
		if ok {
			all = append(all, one{d, hash})
		} else if len(r.keys) > 1 {
			lost = append(lost, contract.ID(r.keys[1]))
		}
		return ok
	})
	for _, grant := range lost {
		fn(ledgerclient.LinkDeposit{Grant: grant}, crypto.Hash{}, nil, false)
	}
	for _, one := range all {
		steps, serr := v.Steps(ctx, one.d.Grant)
		fn(one.d, one.hash, steps, serr == nil)
		err = cmp.Or(err, serr)
	}
	return err
}

// parseLink reads a link without its file, and the hash of its deposit.
func parseLink(body []byte) (d ledgerclient.LinkDeposit, hash crypto.Hash, ok bool) {
	if len(body) < len(hash) {
		return d, hash, false
	}
	d, err := ledgerclient.Parse[ledgerclient.LinkDeposit](body[len(hash):])
	return d, crypto.Hash(body[:len(hash)]), err == nil
}

// Has reports whether there is a record of a link with a readable head: of what is behind it,
// of a step, or of itself. They do not lie in one sector of a disk.
func (v *linkVault) Has(ctx context.Context, grant contract.ID) (has bool, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		if err := v.links.look(); err != nil {
			return err
		}
		for _, key := range []crypto.Hash{crypto.Hash(grant), underLink(keptLinkFile, grant), underLink(keptLinkStep, grant)} {
			all, _, err := v.links.find(key)
			if has = has || len(all) > 0; err != nil {
				return err
			}
		}
		return nil
	})
	return has, err
}

// Steps are those of one link.
func (v *linkVault) Steps(ctx context.Context, grant contract.ID) (steps []keeper.LinkStep, err error) {
	err = v.under(ctx, underLink(keptLinkStep, grant), func(_ *found, body []byte) bool {
		if body == nil {
			return false
		}
		var s keeper.LinkStep
		err := codec.Parse(body, s.Fields)
		steps = append(steps, s)
		return err == nil
	})
	return steps, err
}

// File is what is behind a link.
func (v *linkVault) File(ctx context.Context, grant contract.ID) (file []byte, err error) {
	err = v.under(ctx, underLink(keptLinkFile, grant), func(_ *found, body []byte) bool {
		file = body
		return true
	})
	return file, err
}

// Erase overwrites what is behind a link.
func (v *linkVault) Erase(ctx context.Context, grant contract.ID) error {
	return v.lock.write(ctx, func(snapshot) error {
		if err := v.links.settle(); err != nil {
			return err
		}
		all, _, err := v.links.find(underLink(keptLinkFile, grant))
		if err != nil {
			return err
		}
		return v.links.endAll(all)
	})
}
