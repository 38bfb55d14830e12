package folder

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// Names inside a ledger's folder.
const (
	genesisFile    = "genesis"
	leavesFile     = "leaves"
	checkpointFile = "checkpoint"
	lockFile       = "lock"
	unfinishedFile = "unfinished" // there while Create is at work
	nodeKeyFile    = "keys/node.ed25519"
	entryKeyFile   = "keys/node.k256"
	keeperKeyFile  = "keys/keeper.k256"
	replicaKeyFile = "keys/replica.ed25519" // of a follower's folder, and no other there
)

// maxGenesis is more than any configuration document has bytes.
const maxGenesis = 1 << 20

// defaultWait is how long an operation waits for the lock.
const defaultWait = 10 * time.Second

// Options of an open ledger. The zero value is right for most.
type Options struct {
	// Clock gives ledger time. nil: the system's.
	Clock func() time.Time
	// AcceptClock lets Append go on when the clock is more than 31 days past the
	// last entry.
	AcceptClock bool
	// EraseAfter is how many hours after its withdrawal a record is erased. 0: at
	// once. A node waits, since with a stolen key a whole history could be withdrawn.
	EraseAfter contract.Hour
	// Wait is how long an operation waits for other processes. 0: 10 seconds.
	Wait time.Duration
	// Private is a folder of this user alone, which is made when it is needed, in which
	// what follows from the log is kept, so that it need not be derived at each Open. "",
	// or one that others can write: it is derived each time, some 10 µs an entry.
	Private string
}

// Folder is an open ledger in a folder. It is safe for concurrent use, by
// goroutines and by other processes that have the same folder open.
type Folder struct {
	dir     string
	ops     fileOps
	modes   modes
	clock   func() time.Time
	accept  bool
	wait    time.Duration
	genesis []byte

	eraseAfter contract.Hour

	config contract.Config
	id     crypto.LedgerID
	key    checkpointKey
	// follows: others keep this ledger, and the folder signs for itself (CreateReplica).
	follows bool

	base     *ground // see ground
	baseOnce sync.Once

	store  ledgerclient.Store
	keeper ledgerclient.Keeper

	signing sync.Mutex
	signer  *checkpointSigner // nil: the key was not read yet

	// What is read without the turn, see durableHead.
	published  atomic.Pointer[published] // the newest durable head; nil: none is known
	committing atomic.Bool               // a newer one is being made durable by this process

	turn     chan struct{} // held by the goroutine that uses what is below
	lock     *os.File
	closed   bool
	readOnly error // why nothing can be written; nil if it can
	tables   *tables
	head     head
	last     contract.Leaf // leaf head.size-1
	private  private
	saved    uint64 // size of the tables that are kept
	lag      uint64 // how many entries they may lack
}

var _ ledgerclient.Ledger = (*Folder)(nil)

// Open opens the ledger in a folder.
//
// Errors: *NoLedgerError, *NetworkFSError, *BusyError, and *DamagedError when
// the files do not fit each other. A ledger that cannot be written opens; Append
// is then a *ReadOnlyError.
func Open(dir string, opt Options) (*Folder, error) {
	return open(dir, opt, systemFiles{}, networkFS)
}

func open(dir string, opt Options, ops fileOps, network func(dir string) (string, error)) (_ *Folder, err error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &NoLedgerError{Dir: dir}
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, &NoLedgerError{Dir: dir}
	}
	if kind, err := network(dir); err != nil {
		return nil, err
	} else if kind != "" {
		return nil, &NetworkFSError{Dir: dir, FS: kind}
	}
	f := &Folder{
		dir:    dir,
		ops:    ops,
		modes:  modesOf(info.Mode()),
		clock:  opt.Clock,
		accept: opt.AcceptClock,
		wait:   opt.Wait,

		eraseAfter: opt.EraseAfter,

		turn: make(chan struct{}, 1),
		lag:  128,
	}
	if f.clock == nil {
		f.clock = time.Now
	}
	if f.wait == 0 {
		f.wait = defaultWait
	}
	defer func() {
		if err != nil {
			f.closeFiles()
		}
	}()
	if err := f.openLock(); err != nil {
		return nil, err
	}
	if err := f.start(opt.Private); err != nil {
		return nil, err
	}
	return f, f.startServices()
}

// openLock opens the lock file, which is there from the first moment of a
// ledger's life.
func (f *Folder) openLock() error {
	l, err := disk.Open(filepath.Join(f.dir, lockFile), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(f.dir, genesisFile)); err != nil {
			return &NoLedgerError{Dir: f.dir}
		}
		// Somebody removed it. All who come now open the same new one.
		l, err = disk.Open(filepath.Join(f.dir, lockFile), os.O_RDONLY|os.O_CREATE, f.modes.file)
	}
	if err != nil {
		return damagedKind(f.dir, err)
	}
	f.lock = l
	return nil
}

// start reads what never changes and opens the files under the lock.
func (f *Folder) start(private string) error {
	ctx := context.Background()
	release, err := f.take(ctx, false)
	if err != nil {
		return err
	}
	err = f.readGenesis()
	if err == nil {
		f.private = privateIn(f.ops, private, f.dir, f.id)
		err = f.openFiles()
	}
	release()
	if err != nil {
		return err
	}
	return f.locked(ctx, false, func() error { return nil })
}

func (f *Folder) readGenesis() error {
	if _, err := os.Stat(f.path(unfinishedFile)); err == nil {
		if _, err := os.Stat(f.path(checkpointFile)); errors.Is(err, fs.ErrNotExist) {
			return &NoLedgerError{Dir: f.dir} // Create did not get to its end
		}
		// It did, but for this. A folder that cannot be written keeps it.
		f.ops.remove(f.path(unfinishedFile))
	}
	doc, err := readIn(f.dir, f.path(genesisFile), maxGenesis)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(f.dir, leavesFile)); err != nil {
			return &NoLedgerError{Dir: f.dir}
		}
		return &DamagedError{File: genesisFile, Entry: NoEntry, What: "missing"}
	}
	if err != nil {
		return err
	}
	c, err := contract.ParseConfig(doc)
	if err != nil {
		var later *contract.ContractVersionError
		if errors.As(err, &later) && f.entry0CommitsTo(doc) {
			return err // nothing is damaged: it is of later software
		}
		return &DamagedError{File: genesisFile, Entry: NoEntry, What: err.Error()}
	}
	if len(c.Nodes) != 1 || len(c.Keepers) != 1 || c.Previous != (crypto.Hash{}) {
		return &DamagedError{File: genesisFile, Entry: NoEntry, What: "not the configuration of a folder"}
	}
	f.genesis, f.config, f.id = doc, c, c.LedgerID()
	if f.follows, err = exists(f.path(replicaKeyFile)); err != nil {
		return err
	}
	if f.follows {
		seed, err := f.readKey(replicaKeyFile)
		if err != nil {
			return err
		}
		f.key, err = newReplicaKey(f.id, ed25519.NewKeyFromSeed(seed[:]))
		return err
	}
	f.key, err = newCheckpointKey(ledgerclient.Origin(f.id), c.Nodes[0].Checkpoint)
	return err
}

// entry0CommitsTo tells whether a configuration document is the one that the
// first leaf commits to.
func (f *Folder) entry0CommitsTo(doc []byte) bool {
	file, err := openIn(f.dir, f.path(leavesFile))
	if err != nil {
		return false
	}
	defer file.Close()
	var b [contract.LeafSize]byte
	if _, err := file.ReadAt(b[:], 0); err != nil {
		return false
	}
	first, err := contract.ParseLeaf(b[:])
	return err == nil && first.Entry.Commitment == contract.ConfigCommitment(doc)
}

func (f *Folder) openFiles() error {
	leaves, err := f.ops.open(f.path(leavesFile), os.O_RDWR, 0)
	if readOnly(err) {
		f.readOnly = err
		leaves, err = f.ops.open(f.path(leavesFile), os.O_RDONLY, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &DamagedError{File: leavesFile, Entry: NoEntry, What: "missing"}
	}
	if err != nil {
		return damagedKind(f.dir, err)
	}
	f.tables = newTables(f.id, f.config.Params(), leafFile{leaves})
	return nil
}

// Close ends the use of the ledger.
func (f *Folder) Close() error {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	if f.closed {
		return nil
	}
	return f.closeFiles()
}

func (f *Folder) closeFiles() error {
	f.closed = true
	f.published.Store(nil)
	var errs []error
	if f.tables != nil {
		errs = append(errs, f.tables.leaves.f.Close())
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Close())
	}
	return errors.Join(errs...)
}

// Services returns all that a wallet needs.
func (f *Folder) Services() ledgerclient.Services {
	return ledgerclient.Services{Ledger: f, Store: f.store, Keepers: []ledgerclient.Keeper{f.keeper}}
}

// Properties says that the gate is advisory: whoever reads the folder reads the
// keeper's key and shares too.
func (f *Folder) Properties() ledgerclient.Properties {
	return ledgerclient.Properties{Gate: ledgerclient.Advisory, Reach: f.dir, Clock: "local", Finality: ledgerclient.Immediate, Operators: 1}
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// hour is the clock's, as a ledger hour.
func (f *Folder) hour() contract.Hour {
	h := f.clock().Unix() / 3600
	return contract.Hour(max(0, min(h, math.MaxUint32)))
}

// take waits for this process's turn and then for the lock. Every other
// goroutine and, if exclusive, every other process is kept out until release.
func (f *Folder) take(ctx context.Context, exclusive bool) (release func(), err error) {
	select {
	case f.turn <- struct{}{}:
	default:
		select {
		case f.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.closed {
		<-f.turn
		return nil, errClosed{}
	}
	if err := f.waitForLock(ctx, exclusive); err != nil {
		<-f.turn
		return nil, err
	}
	return func() {
		unlock(f.lock)
		<-f.turn
	}, nil
}

// waitForLock tries until the lock is free or the time is up. There is no lock
// call with a time limit that can be taken back, so it asks again and again,
// at uneven intervals lest two processes keep missing the same gaps.
func (f *Folder) waitForLock(ctx context.Context, exclusive bool) error {
	start := time.Now()
	pause := 200 * time.Microsecond
	for {
		ok, err := tryLock(f.lock, exclusive)
		if ok || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		waited := time.Since(start)
		if waited >= f.wait {
			return &BusyError{Dir: f.dir, Waited: waited}
		}
		timer := time.NewTimer(min(pause/2+rand.N(pause), f.wait-waited))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(pause*2, 10*time.Millisecond)
	}
}

// locked runs fn under the lock with tables that are those of the newest
// checkpoint.
func (f *Folder) locked(ctx context.Context, exclusive bool, fn func() error) error {
	release, err := f.take(ctx, exclusive)
	if err != nil {
		return err
	}
	defer release()
	if err := f.refresh(ctx); err != nil {
		return err
	}
	f.publish()
	err = fn()
	if d := (*DamagedError)(nil); errors.As(err, &d) && d.File == stateFile {
		f.private.forget(".log") // whoever asks again gets what the leaves say
		f.tables.reset(0)
		f.saved = 0
	}
	return err
}

// refresh reads the checkpoint and makes the tables those of it.
func (f *Folder) refresh(ctx context.Context) error {
	raw, err := readIn(f.dir, f.path(checkpointFile), maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return &DamagedError{File: checkpointFile, Entry: NoEntry, What: "missing"}
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, f.head.raw) {
		if f.readOnly == nil {
			// It may be one whose writer was killed before its name was durable.
			if err := f.ops.syncDir(f.dir); err != nil {
				return err
			}
		}
		if err := f.readHead(raw); err != nil {
			return err
		}
	}
	return f.follow(ctx)
}

// readHead makes a checkpoint the current head. The log only grows: a checkpoint
// that is older than one seen before, or of another history, is damage.
func (f *Folder) readHead(raw []byte) error {
	damaged := func(file, what string) error { return &DamagedError{File: file, Entry: NoEntry, What: what} }
	h, err := f.key.parse(raw)
	if err != nil {
		if !f.entry0CommitsTo(f.genesis) {
			return damaged(genesisFile, "not the document that entry 0 commits to")
		}
		return damaged(checkpointFile, err.Error())
	}
	switch {
	case h.size < f.head.size:
		return damaged(checkpointFile, "older than one seen before")
	case h.size == f.head.size && h.root != f.head.root:
		return damaged(checkpointFile, "of another history than one seen before")
	}
	info, err := f.tables.leaves.f.Stat()
	if err != nil {
		return err
	}
	if info.Size()/contract.LeafSize < int64(h.size) {
		return &DamagedError{File: leavesFile, Entry: info.Size() / contract.LeafSize, What: "missing"}
	}
	last, err := f.tables.leaves.at(h.size - 1)
	if err != nil {
		return err
	}
	f.head, f.last = h, last
	return nil
}

// View gives fn the log at its newest head, under the shared lock: fn must not
// call other methods of the Folder. It makes the Folder a keeper.Replica.
func (f *Folder) View(ctx context.Context, fn func(keeper.View) error) error {
	return f.read(ctx, func(s snapshot) error { return fn(s) })
}

func (f *Folder) read(ctx context.Context, fn func(snapshot) error) error {
	return f.locked(ctx, false, func() error { return fn(view{f}) })
}

// write is read under the exclusive lock.
func (f *Folder) write(ctx context.Context, fn func(snapshot) error) error {
	if f.readOnly != nil {
		return &ReadOnlyError{Dir: f.dir, Err: f.readOnly}
	}
	return f.locked(ctx, true, func() error { return fn(view{f}) })
}

// view is the log while the lock is held.
type view struct{ f *Folder }

func (v view) Head() keeper.Head {
	return keeper.Head{Size: v.f.head.size, Root: v.f.head.root, Hour: v.f.last.Hour, Fresh: true}
}

func (v view) Find(id contract.ID) (uint64, bool, error) {
	at, _, ok, err := v.f.tables.find(id)
	return at, ok, err
}

func (v view) Leaf(i uint64) (contract.Leaf, error) {
	if i >= v.f.head.size {
		return contract.Leaf{}, &RangeError{From: i, To: i + 1, Size: v.f.head.size}
	}
	return v.f.tables.leaf(i)
}

func (v view) State(i uint64) (contract.State, error) {
	leaf, err := v.Leaf(i)
	if err != nil {
		return contract.State{}, err
	}
	if err := v.f.tables.state.check(i, v.f.head.size); err != nil {
		return contract.State{}, err
	}
	return v.f.tables.state.state(i, &leaf.Entry), nil
}

func (v view) followUps(i uint64) ([]uint64, error) { return v.f.tables.state.followUps(i) }

// checkpointSigner reads the node's key when it is first needed.
func (f *Folder) checkpointSigner() (*checkpointSigner, error) {
	f.signing.Lock()
	defer f.signing.Unlock()
	if f.signer != nil {
		return f.signer, nil
	}
	name := nodeKeyFile
	if f.follows {
		name = replicaKeyFile
	}
	seed, err := f.readKey(name)
	if err != nil {
		return nil, err
	}
	s := &checkpointSigner{checkpointKey: f.key, private: ed25519.NewKeyFromSeed(seed[:])}
	if !s.public.Equal(s.private.Public()) {
		return nil, &DamagedError{File: name, Entry: NoEntry, What: "not the key in the configuration"}
	}
	f.signer = s
	return s, nil
}

// CheckKeys reads the keys that the folder signs with, those of its checkpoints and of
// its keeper, and returns an error for each that cannot be used. What does not need it
// goes on all the same.
func (f *Folder) CheckKeys() (errs []error) {
	if _, err := f.checkpointSigner(); err != nil {
		errs = append(errs, err)
	}
	if f.follows {
		return errs // its keeper is elsewhere
	}
	if _, err := f.readCurveKey(keeperKeyFile, f.config.Keepers[0]); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func (f *Folder) readKey(name string) ([32]byte, error) {
	text, err := readIn(f.dir, f.path(name), 128)
	if errors.Is(err, fs.ErrNotExist) {
		return [32]byte{}, &DamagedError{File: name, Entry: NoEntry, What: "missing"}
	}
	if err != nil {
		return [32]byte{}, err
	}
	b, ok := parseKey(text)
	if !ok {
		return [32]byte{}, &DamagedError{File: name, Entry: NoEntry, What: "not a key"}
	}
	return b, nil
}

// readCurveKey reads a secp256k1 key and compares it with the configuration.
func (f *Folder) readCurveKey(name string, public crypto.PubKey) (*crypto.PrivateKey, error) {
	b, err := f.readKey(name)
	if err != nil {
		return nil, err
	}
	k, err := crypto.ParsePrivateKey(b[:])
	if err != nil {
		return nil, &DamagedError{File: name, Entry: NoEntry, What: "not a key"}
	}
	if k.Public() != public {
		return nil, &DamagedError{File: name, Entry: NoEntry, What: "not the key in the configuration"}
	}
	return k, nil
}
