package folder

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

// Folder is an open ledger in a folder: its log, with the store and the keeper beside it.
// It is safe for concurrent use, by goroutines and by other processes that have the same
// folder open.
type Folder struct {
	*log

	eraseAfter contract.Hour

	base     *ground // see ground
	baseOnce sync.Once

	store  store
	keeper *folderKeeper
}

var _ ledgerclient.Ledger = (*Folder)(nil)

// Open opens the ledger in a folder.
//
// Errors: ErrNoLedger, ErrFormat, ErrNetworkFS, ErrBusy, and *DamagedError when
// the files do not fit each other. A ledger that cannot be written opens; Append
// is then ErrReadOnly.
func Open(dir string, opt Options) (*Folder, error) {
	return open(dir, opt, systemFiles{})
}

func open(dir string, opt Options, ops fileOps) (*Folder, error) {
	l, err := openLog(dir, opt, ops)
	if err != nil {
		return nil, err
	}
	f := &Folder{log: l, eraseAfter: opt.EraseAfter}
	l.checked = &f.ground().checked
	f.startServices()
	return f, nil
}

// Create makes a new ledger of that name in a folder, which must be empty, or
// not exist and is then made, for its owner alone. clock gives the hour of entry
// 0; nil is the system's. What an interrupted Create left is cleared away.
//
// Errors: ErrNotEmpty, ErrLedgerExists, ErrNetworkFS, ErrBusy, [contract.ErrConfig] if
// the name is none, and those of the file system.
func Create(dir, name string, clock func() time.Time) (*Folder, error) {
	return create(dir, name, Options{Clock: clock}, systemFiles{})
}

// CreateFrom is Create with the keys and the configuration of f. The zero Ordered
// makes a folder that keeps its own order, which only one node can; otherwise it becomes a
// replica of an order in which f.Entry stands, see Ordered.
//
// Errors: those of Create; *contract.Refusal for an entry 0 that is none, or not at that
// hour; ErrReplica for a ledger of several nodes without an order.
func CreateFrom(dir string, f Founding, at Ordered, opt Options) (*Folder, error) {
	return createFrom(dir, f, at, opt, systemFiles{})
}

// CreateIn is CreateFrom of a ledger whose order b keeps: see package order. The first node
// puts entry 0 there, and all others look for it.
//
// Errors: those of CreateFrom, [order.Begin] and [order.Beginning].
func CreateIn(ctx context.Context, dir string, fd Founding, b order.Backend, clock func() time.Time) (f *Folder, err error) {
	opt := Options{Clock: clock}
	if fd.begins() {
		first, next, err := order.Begin(ctx, b, fd.Entry, fd.Genesis)
		if err != nil {
			return nil, err
		}
		return CreateFrom(dir, fd, Ordered{Next: next, Hour: first.Hour}, opt)
	}
	err = order.Beginning(ctx, b, fd.Genesis, func(item order.Item, next uint64) (err error) {
		fd.Entry = item.Entry
		f, err = CreateFrom(dir, fd, Ordered{Next: next, Hour: item.Hour}, opt)
		return err
	})
	return f, err
}

func create(dir, name string, opt Options, ops fileOps) (*Folder, error) {
	fd, err := NewFounding(name)
	if err != nil {
		return nil, err
	}
	return createFrom(dir, fd, Ordered{}, opt, ops)
}

func createFrom(dir string, fd Founding, at Ordered, opt Options, ops fileOps) (*Folder, error) {
	err := createLog(dir, fd, at, opt, ops, func(m modes) []founded {
		files := []founded{{"keeper", nil, m.keyDir}}
		if !fd.follows() {
			files = append(files, founded{"keeper/filings", nil, m.keyDir}, founded{"keeper/filings/0000000001", newSegment(nil, filingsRoom, segmentHeader), m.key})
		}
		return files
	})
	if err != nil {
		return nil, err
	}
	return open(dir, opt, ops)
}

// CreateReplica makes a folder that follows a ledger whose keys are others': its
// log is derived from the order in which first, entry 0 of the ledger with that
// configuration document, stands. It has no store and no keeper of that ledger, and
// signs its checkpoints with a key of its own that nobody else believes. Otherwise
// it is like a folder of CreateFrom, and has the same errors.
func CreateReplica(dir string, genesis []byte, first contract.Entry, at Ordered, opt Options) (*Folder, error) {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:])
	return CreateFrom(dir, Founding{Genesis: genesis, Entry: first, keys: Keys{checkpoint: ed25519.NewKeyFromSeed(seed[:])}}, at, opt)
}

// Services returns all that a wallet needs.
func (f *Folder) Services() ledgerclient.Services {
	return ledgerclient.Services{Ledger: f, Store: f.store, Keepers: []ledgerclient.Keeper{f.keeper}}
}

// Properties says that the gate is advisory: whoever reads the folder reads the
// keeper's key and shares too.
func (f *Folder) Properties() ledgerclient.Properties {
	return ledgerclient.Properties{Gate: ledgerclient.Advisory, Reach: f.dir, Clock: "local", Operators: 1}
}

// Verify checks every byte in the folder that any reader uses: the configuration
// and the keys, the checkpoint's signature, each leaf (shape, signature, rules,
// state root, the log's root); then the store and the keeper's files. Of what an earlier
// one found in order, see [Mark], only so much is done again that it is known to be the
// same: known is the mark that it made, nil if there is none. One that is not of this
// ledger, or not of its history, is passed over.
//
// The first finding is a *DamagedError that names the entry or the file: then there is no
// new mark.
// progress, if not nil, is called from one goroutine at a time with how many
// signatures of entries are done.
//
// The lock is held, shared, while the leaves are read, which takes some microseconds an
// entry, and not for the signatures.
func (f *Folder) Verify(ctx context.Context, known *Mark, progress func(done, total uint64)) (Report, error) {
	report, damaged, err := f.verify(ctx, known, progress)
	if err == nil && len(damaged) > 0 {
		err = damaged[0]
	}
	if err != nil {
		return Report{}, err
	}
	return report, nil
}

// verify is Verify that goes on behind damage of the keys, the store and the keeper's
// files, and returns all of it.
func (f *Folder) verify(ctx context.Context, known *Mark, progress func(done, total uint64)) (Report, []*DamagedError, error) {
	if known != nil && known.ledger != f.id {
		known = nil
	}
	var before Verified
	if known != nil {
		before = known.Verified
	}
	log, from, damaged, err := f.log.verify(ctx, before, progress)
	if err != nil {
		return Report{}, damaged, err
	}
	if from == 0 {
		known = nil
	}
	x, err := f.examine(ctx, known)
	if err != nil {
		return Report{}, damaged, err
	}
	r := x.found
	r.Mark, r.From, r.Signatures = x.mark(log), from, log.Size-from
	return r, append(damaged, x.damaged()...), nil
}
