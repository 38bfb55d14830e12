package order

import (
	"context"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Limits of one call.
const (
	MaxAppend   = 1024     // entries
	MaxRead     = 1024     // items
	MaxDocument = 16 << 10 // bytes of a configuration document
)

// Item is one entry in an order. It may be no valid one: any 222 bytes are a
// contract.Entry.
type Item struct {
	Hour  contract.Hour // of the backend's clock; never before that of the item before
	Entry contract.Entry
	// Document is the configuration document behind an entry of kind config, 1 to
	// MaxDocument bytes; "" with all others.
	Document string
}

// Whole reports whether entry and document are an item: an entry of kind config has the
// document with it that it commits to, and no other entry has one. Who orders such an entry
// without its document takes no place with it: the entry's bytes, which keep their position
// for ever, could never be judged like that.
func (i *Item) Whole() bool {
	if i.Entry.Kind != contract.KindConfig {
		return i.Document == ""
	}
	n := len(i.Document)
	return n > 0 && n <= MaxDocument && contract.ConfigCommitment([]byte(i.Document)) == i.Entry.Commitment
}

// Backend keeps an order. Its methods may be called from several goroutines.
type Backend interface {
	// Name is that of the software, for people: "memory", "carekey-ledger-foo 1.2".
	Name() string
	// Append puts entries, 1 … MaxAppend, at the end of the order in the order given
	// and returns the position of each. One whose very bytes are in the order, or
	// earlier in the batch, keeps its position. The entries have their positions
	// durably when Append returns. After an error that is no [ErrUnknown] none has: with
	// an entry of kind config among them there always is one. A [ledgerclient.ErrQuota] says
	// that more than may be ordered in a time was asked for.
	Append(ctx context.Context, entries []contract.Entry) ([]uint64, error)
	// Configure is Append of one entry of kind config with its document. What is no whole
	// Item is refused, and nothing keeps its bytes from being ordered rightly later.
	Configure(ctx context.Context, entry contract.Entry, document string) (uint64, error)
	// Read returns the items from a position on: at least one if there is any, at
	// most MaxRead. At the end of the order, or beyond it, there are none.
	Read(ctx context.Context, from uint64) ([]Item, error)
	// Head returns how many items there are: the next position.
	Head(ctx context.Context) (uint64, error)
	// Close ends the use of the backend; the order stays.
	Close() error
}

// Dedicated is a Backend that keeps the order of one ledger alone, as one that several
// institutions founded. Who wants that of another one has the wrong backend, and is told so
// before anything is ordered.
type Dedicated interface {
	// Keeps returns the ledger; zero: of any.
	Keeps() crypto.LedgerID
}

// State is what a backend says of itself.
type State struct {
	// Decides: what is handed over now is ordered, as far as the backend knows.
	Decides bool
	// Waits is for how long what was handed over at this place and is not ordered yet has
	// waited; 0: nothing waits.
	Waits time.Duration
	// Words say both for people, who decides, and who is missing since when.
	Words string
}

// Stated is a Backend that knows whether it decides also while nobody hands anything over.
type Stated interface {
	// State returns what is so now; nil: the backend does not know it.
	State(ctx context.Context) (*State, error)
}

// check reports with an [ErrAnother] that a backend keeps another ledger than that with this
// configuration document.
func check(b Backend, genesis []byte) error {
	d, is := b.(Dedicated)
	if !is || d.Keeps().IsZero() {
		return nil
	}
	if want, got := contract.LedgerID(genesis), d.Keeps(); got != want {
		return ErrAnother.With("want", want, "got", got)
	}
	return nil
}

// Broken is what is wrong with an order.
type Broken string

// What can be wrong with an order.
const (
	Shorter   Broken = "shorter than it was"
	Gap       Broken = "an item is missing below the head"
	Backwards Broken = "its time goes backwards"
	Ahead     Broken = "its time is ahead of this machine's clock"
	Moved     Broken = "an item is not where the answer said"
	TooMany   Broken = "more is answered than was asked for"
	Unlike    Broken = "two answers about one item differ"
	NotWhole  Broken = "a configuration entry is without its document, or another entry has one"
)
