package folder

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	formatFile     = "format"
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
}

// log is the log of an open ledger: its order, and what follows from that. It knows
// nothing of what is stored and kept beside it, see Folder.
type log struct {
	dir     string
	ops     fileOps
	modes   modes
	clock   func() time.Time
	accept  bool
	doubt   func() bool   // see DoubtClock
	sure    func() uint64 // see SureOf
	wait    time.Duration
	genesis []byte

	config contract.Config
	id     crypto.LedgerID
	// key signs the folder's checkpoints: of the nodes' keys the one under the checkpoint
	// that is here.
	key checkpointKey
	// follows: others keep this ledger, and the folder signs for itself (CreateReplica).
	follows bool

	leaves leafFile // what counts in it never changes, and is read by all

	// checked are entries whose shape and signature need no second look.
	checked *checkedEntries
	// checkSignature is contract.CheckSignature.
	checkSignature func(crypto.LedgerID, *contract.Entry) error

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
}

// snapshot is the log at one head.
type snapshot interface {
	keeper.View
	// followUps returns the positions of the accepted follow-ups of the thread
	// opened at index, in order.
	followUps(index uint64) []uint64
}

// newLog is the log in a folder that is there, not yet opened.
func newLog(dir string, info fs.FileInfo, opt Options, ops fileOps) (*log, error) {
	if kind, err := ops.networkFS(dir); err != nil {
		return nil, err
	} else if kind != "" {
		return nil, ErrNetworkFS.With("dir", dir, "fs", kind)
	}
	l := &log{
		dir:            dir,
		ops:            ops,
		modes:          modesOf(info.Mode()),
		clock:          opt.Clock,
		accept:         opt.AcceptClock,
		wait:           opt.Wait,
		checked:        new(checkedEntries),
		checkSignature: contract.CheckSignature,
		turn:           make(chan struct{}, 1),
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	if l.wait == 0 {
		l.wait = defaultWait
	}
	return l, nil
}

func openLog(dir string, opt Options, ops fileOps) (*log, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNoLedger.With("dir", dir)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, ErrNoLedger.With("dir", dir)
	}
	l, err := newLog(dir, info, opt, ops)
	if err != nil {
		return nil, err
	}
	if err = l.openLock(); err == nil {
		err = l.start()
	}
	if err != nil {
		l.closeFiles()
		return nil, err
	}
	return l, nil
}

// openLock opens the lock file, which is there from the first moment of a
// ledger's life.
func (l *log) openLock() error {
	file, err := disk.Open(l.path(lockFile), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(l.path(genesisFile)); err != nil {
			return ErrNoLedger.With("dir", l.dir)
		}
		// Somebody removed it. All who come now open the same new one.
		file, err = disk.Open(l.path(lockFile), os.O_RDONLY|os.O_CREATE, l.modes.file)
	}
	if err != nil {
		return damagedKind(l.dir, err)
	}
	l.lock = file
	return nil
}

// start reads what never changes and opens the files. It waits for whoever is making the
// ledger.
func (l *log) start() error {
	ctx := context.Background()
	genesis, err := exists(l.path(genesisFile)) // in this order: the mark is there before it
	unfinished, merr := exists(l.path(unfinishedFile))
	if err == nil && merr == nil && (unfinished || !genesis) {
		release, err := l.take(ctx, shared)
		if err != nil {
			return err
		}
		release()
	}
	release, err := l.take(ctx, free)
	if err != nil {
		return err
	}
	err = l.readGenesis()
	if err == nil {
		err = l.openFiles()
	}
	release()
	if err != nil {
		return err
	}
	return l.look(ctx, func() error { return nil })
}

// format is the content of the file `format`: the version of all the files of a folder.
const format = "carekey folder 5\n"

// checkFormat returns an ErrFormat if the ledger in dir is of another version. Those of
// version 1 did not say so, and had derived files beside the leaves.
func checkFormat(dir string) error {
	text, err := readIn(dir, filepath.Join(dir, formatFile), 64)
	damaged := damagedFile(formatFile, "missing")
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range []string{"hashes", "state", "index"} {
			if old, err := exists(filepath.Join(dir, name)); err != nil {
				return err
			} else if old {
				return ErrFormat.With("dir", dir, "version", uint64(1))
			}
		}
		return damaged
	}
	if err != nil || string(text) == format {
		return err
	}
	var version uint64
	if n, err := fmt.Sscanf(string(text), "carekey folder %d\n", &version); n == 1 && err == nil && string(text) == fmt.Sprintf("carekey folder %d\n", version) {
		return ErrFormat.With("dir", dir, "version", version)
	}
	damaged.What = "not what was written"
	return damaged
}

func (l *log) readGenesis() error {
	if _, err := os.Stat(l.path(unfinishedFile)); err == nil {
		if _, err := os.Stat(l.path(checkpointFile)); errors.Is(err, fs.ErrNotExist) {
			return ErrNoLedger.With("dir", l.dir) // Create did not get to its end
		}
		// It did, but for this. A folder that cannot be written keeps it.
		l.ops.remove(l.path(unfinishedFile))
	}
	doc, err := readIn(l.dir, l.path(genesisFile), maxGenesis)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(l.dir, leavesFile)); err != nil {
			return ErrNoLedger.With("dir", l.dir)
		}
		return damagedFile(genesisFile, "missing")
	}
	if err == nil {
		err = checkFormat(l.dir)
	}
	if err != nil {
		return err
	}
	c, err := contract.ParseConfig(doc)
	if err != nil {
		if errors.Is(err, contract.ErrContractVersion) && l.entry0CommitsTo(doc) {
			return err // nothing is damaged: it is of later software
		}
		return damagedFile(genesisFile, err.Error())
	}
	if c.Previous != (crypto.Hash{}) {
		return damagedFile(genesisFile, "not the first configuration of a ledger")
	}
	l.genesis, l.config, l.id = doc, c, c.LedgerID()
	if l.follows, err = exists(l.path(replicaKeyFile)); err != nil {
		return err
	}
	if l.follows {
		seed, err := l.readKey(replicaKeyFile)
		if err != nil {
			return err
		}
		l.key, err = newReplicaKey(l.id, ed25519.NewKeyFromSeed(seed[:]))
		return err
	}
	l.key, err = newCheckpointKey(ledgerclient.Origin(l.id), c.Nodes[0].Checkpoint)
	return err
}

// parseHead reads the file `checkpoint`. Which of the nodes the folder is of it says
// itself, when it is first read.
func (l *log) parseHead(raw []byte) (head, error) {
	h, err := l.key.parseFile(raw)
	if err == nil || l.follows || l.head.size > 0 {
		return h, err
	}
	for _, n := range l.config.Nodes[1:] {
		k, kerr := newCheckpointKey(l.key.Name(), n.Checkpoint)
		if kerr != nil {
			return h, kerr
		}
		if h, kerr := k.parseFile(raw); kerr == nil {
			l.key = k
			return h, nil
		}
	}
	return h, err
}

// Node is the line of the configuration that the folder's node has; the zero Node of a
// replica without the ledger's keys, which has none.
func (l *log) Node() contract.Node { return nodeOf(l.config, l.key.public) }

// nodeOf is the node with that key of checkpoints.
func nodeOf(c contract.Config, checkpoint []byte) contract.Node {
	for _, n := range c.Nodes {
		if bytes.Equal(n.Checkpoint[:], checkpoint) {
			return n
		}
	}
	return contract.Node{}
}

// entry0CommitsTo reports whether a configuration document is the one that the
// first leaf commits to.
func (l *log) entry0CommitsTo(doc []byte) bool {
	file, err := openIn(l.dir, l.path(leavesFile))
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

func (l *log) openFiles() error {
	leaves, err := l.ops.open(l.path(leavesFile), os.O_RDWR, 0)
	if readOnly(err) {
		l.readOnly = err
		leaves, err = l.ops.open(l.path(leavesFile), os.O_RDONLY, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return damagedFile(leavesFile, "missing")
	}
	if err != nil {
		return damagedKind(l.dir, err)
	}
	l.leaves = leafFile{leaves}
	l.forget()
	return nil
}

// Close ends the use of the ledger.
func (l *log) Close() error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.closed {
		return nil
	}
	return l.closeFiles()
}

func (l *log) closeFiles() error {
	l.closed = true
	l.published.Store(nil)
	var errs []error
	if l.tables != nil {
		errs = append(errs, l.leaves.f.Close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

func (l *log) path(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

// hour is the clock's, as a ledger hour.
func (l *log) hour() contract.Hour {
	h := l.clock().Unix() / 3600
	return contract.Hour(max(0, min(h, math.MaxUint32)))
}

// kinds of what keeps other processes out.
type sharing int

const (
	free      sharing = iota // nothing: what is read of the log never changes
	shared                   // no other process writes
	exclusive                // no other process writes, or reads what is beside the log
)

// take waits for this process's turn and then for the lock, if any. Every other goroutine
// is kept out until release.
func (l *log) take(ctx context.Context, how sharing) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := func() { <-l.turn }
	if l.closed {
		done()
		return nil, errClosed
	}
	if how == free && runtime.GOOS != "windows" { // where a file that is open cannot be replaced
		return done, nil
	}
	if err := waitForLock(ctx, l.lock, how == exclusive, l.dir, l.wait); err != nil {
		done()
		return nil, err
	}
	return func() {
		disk.Unlock(l.lock)
		done()
	}, nil
}

// look runs fn with tables that are those of the newest checkpoint. It keeps no other
// process out: what it has appended is seen as a whole, or not yet.
func (l *log) look(ctx context.Context, fn func() error) error { return l.locked(ctx, free, fn) }

// locked is look under the lock.
func (l *log) locked(ctx context.Context, how sharing, fn func() error) error {
	release, err := l.take(ctx, how)
	if err != nil {
		return err
	}
	defer release()
	if err := l.refresh(ctx); err != nil {
		return err
	}
	l.publish()
	return fn()
}

// refresh reads the checkpoint and makes the tables those of it.
func (l *log) refresh(ctx context.Context) error {
	raw, err := readIn(l.dir, l.path(checkpointFile), maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return damagedFile(checkpointFile, "missing")
	}
	if err != nil {
		return err
	}
	if l.head.size == 0 || !bytes.Equal(raw, l.head.file()) {
		if l.readOnly == nil {
			// It may be one whose writer was killed before its name was durable.
			if err := l.ops.syncDir(l.dir); err != nil {
				return err
			}
		}
		if err := l.readHead(raw); err != nil {
			return err
		}
	}
	return l.follow(ctx)
}

// readHead makes a checkpoint the current head. The log only grows: a checkpoint
// that is older than one seen before, or of another history, is damage.
func (l *log) readHead(raw []byte) error {
	h, err := l.parseHead(raw)
	if err != nil {
		if !l.entry0CommitsTo(l.genesis) {
			return damagedFile(genesisFile, "not the document that entry 0 commits to")
		}
		return damagedFile(checkpointFile, err.Error())
	}
	switch {
	case h.size < l.head.size || h.next < l.head.next:
		return damagedFile(checkpointFile, "older than one seen before")
	case (l.follows || len(l.config.Nodes) > 1) && h.next == 0:
		return damagedFile(checkpointFile, "without the position in the order")
	case h.size == l.head.size && h.root != l.head.root:
		return damagedFile(checkpointFile, "of another history than one seen before")
	}
	info, err := l.leaves.f.Stat()
	if err != nil {
		return err
	}
	if info.Size()/contract.LeafSize < int64(h.size) {
		return damagedLeaf(uint64(info.Size()/contract.LeafSize), "missing")
	}
	last, err := l.leaves.at(h.size - 1)
	if err != nil {
		return err
	}
	l.head, l.last = h, last
	return nil
}

// View gives fn the log at its newest head: fn must not call other methods of the Folder.
// It makes the Folder a keeper.Replica.
func (l *log) View(ctx context.Context, fn func(keeper.View) error) error {
	return l.look(ctx, func() error { return fn(view{l}) })
}

// read is View while no other process writes. Neither it nor write may be called from
// within fn.
func (l *log) read(ctx context.Context, fn func(snapshot) error) error {
	return l.locked(ctx, shared, func() error { return fn(view{l}) })
}

// write is View while no other process writes, or reads what is beside the log.
func (l *log) write(ctx context.Context, fn func(snapshot) error) error {
	if l.readOnly != nil {
		return ErrReadOnly.Of(l.readOnly, "dir", l.dir)
	}
	return l.locked(ctx, exclusive, func() error { return fn(view{l}) })
}

// view is the log at the head of the tables.
type view struct{ l *log }

func (v view) Head() keeper.Head {
	size := v.l.head.size
	h := keeper.Head{Size: size, Root: v.l.head.root, Hour: v.l.last.Hour, Sure: size}
	if v.l.sure != nil {
		h.Sure = min(size, v.l.sure())
	}
	return h
}

func (v view) Find(id contract.ID) (uint64, bool, error) {
	at, _, ok, err := v.l.tables.find(id)
	return at, ok, err
}

func (v view) Leaf(i uint64) (contract.Leaf, error) {
	if i >= v.l.head.size {
		return contract.Leaf{}, &RangeError{From: i, To: i + 1, Size: v.l.head.size}
	}
	return v.l.leaves.at(i)
}

func (v view) State(i uint64) (contract.State, error) {
	leaf, err := v.Leaf(i)
	if err != nil {
		return contract.State{}, err
	}
	return v.l.tables.state.state(i, &leaf.Entry), nil
}

func (v view) followUps(i uint64) []uint64 { return v.l.tables.state.followUps(i) }

// checkpointSigner reads the node's key when it is first needed.
func (l *log) checkpointSigner() (*checkpointSigner, error) {
	l.signing.Lock()
	defer l.signing.Unlock()
	if l.signer != nil {
		return l.signer, nil
	}
	name := nodeKeyFile
	if l.follows {
		name = replicaKeyFile
	}
	seed, err := l.readKey(name)
	if err != nil {
		return nil, err
	}
	s := &checkpointSigner{checkpointKey: l.key, private: ed25519.NewKeyFromSeed(seed[:])}
	if !s.public.Equal(s.private.Public()) {
		return nil, damagedFile(name, "not the key in the configuration")
	}
	l.signer = s
	return s, nil
}

// CheckKeys reads the keys that the folder signs with, those of its checkpoints and of
// its keeper, and returns an error for each that cannot be used. What does not need it
// goes on all the same.
func (l *log) CheckKeys() (errs []error) {
	if _, err := l.checkpointSigner(); err != nil {
		errs = append(errs, err)
	}
	if l.follows {
		return errs // its keeper is elsewhere
	}
	if _, err := l.readCurveKey(keeperKeyFile, l.config.Keepers...); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func (l *log) readKey(name string) ([32]byte, error) { return readKey(l.dir, name) }

// readKey reads a key of the ledger in dir.
func readKey(dir, name string) ([32]byte, error) {
	text, err := readIn(dir, filepath.Join(dir, filepath.FromSlash(name)), 128)
	if errors.Is(err, fs.ErrNotExist) {
		return [32]byte{}, damagedFile(name, "missing")
	}
	if err != nil {
		return [32]byte{}, err
	}
	b, ok := parseKey(text)
	if !ok {
		return [32]byte{}, damagedFile(name, "not a key")
	}
	return b, nil
}

// readCurveKey reads a secp256k1 key, which must be one of those in the configuration.
func (l *log) readCurveKey(name string, public ...crypto.PubKey) (*crypto.PrivateKey, error) {
	k, err := readCurveKey(l.dir, name)
	if err == nil && !slices.Contains(public, k.Public()) {
		return nil, damagedFile(name, "not the key in the configuration")
	}
	return k, err
}

func readCurveKey(dir, name string) (*crypto.PrivateKey, error) {
	b, err := readKey(dir, name)
	if err != nil {
		return nil, err
	}
	k, err := crypto.ParsePrivateKey(b[:])
	if err != nil {
		return nil, damagedFile(name, "not a key")
	}
	return k, nil
}
