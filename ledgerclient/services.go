package ledgerclient

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Services is everything a wallet needs from the outside: an order with its
// log, a store for ciphertext and the keepers. A folder offers all three.
type Services struct {
	Ledger  Ledger
	Store   Store
	Keepers []Keeper // those that can be asked; which of them a consent has says Client.ConfigAt
	Links   Links    // nil: nobody opens links, as with a folder or with several keepers
	// Known are the ledger's configurations, see Client.Documents, if they are known from
	// an earlier time: then Connect asks for none, and the ledger
	// need not be within reach. nil: they are not.
	Known [][]byte
	// Place is where others find the ledger, as it travels in a [crypto.FetchCode]: bytes
	// that who opens ledgers understands, at most crypto.MaxPlace. "": they do not, since
	// it is on one computer.
	Place string
	// Now is the clock by which the age of heads is judged; nil means time.Now.
	Now func() time.Time
	// Sent, if not nil, is set before entries are sent to the ledger.
	Sent *atomic.Bool
}

// Properties says what a backend can do, as data that code and tests branch on.
// They come from the code that drives the backend, never from what a server says
// of itself.
type Properties struct {
	Gate  Gate   // who enforces that a key is released only against an access
	Reach string // where the ledger lives, for people: a folder's path, a URL
	Clock string // whose clock gives ledger time: "local", "node" or "order"
	// Remote: others can watch the questions. A question about one entry or thread
	// tells them whose it may be, so that Client asks none: it reads all leaves
	// instead.
	Remote bool
	// Operators is how many independent operators have to break the rules together to
	// open without an entry, or to keep one from a wallet: 1 where one runs it all. An
	// order that a wallet uses itself (Clock "order") has a keeper of its own besides.
	Operators int
	// Freshness is how old the newest head may be, and how far ahead of the wallet's
	// clock. 0: heads carry no time, and none is asked of them.
	Freshness time.Duration
}

// MaxIdle is how far a clock may be past a ledger's last entry and still be believed
// without a person's word for it, in hours.
const MaxIdle = 31 * 24

// Configured is a Ledger whose configuration may have changed since the genesis
// document. A Ledger without it has only that one.
type Configured interface {
	// Configs returns a [Succession], as it is written, for each configuration document
	// after the first, in the order of their entries. They are believed only after the
	// checks of Client.
	Configs(ctx context.Context) ([][]byte, error)
}

// Witnessed is a Ledger that asks witnesses to cosign its heads.
type Witnessed interface {
	// Witnessed returns the newest checkpoint that they were asked about with what they
	// signed, a head of the log or of what was the log when they were asked;
	// *NotFoundError if there is none.
	Witnessed(ctx context.Context) ([]byte, error)
}

// Follower is a Ledger that can bring leaves along with a checkpoint.
type Follower interface {
	// From says that its caller has all leaves before a position: with the next
	// checkpoint may come those behind them, so that Leaves need not ask for them.
	From(position uint64)
}

// Several is a Ledger at several nodes, so that one of them alone cannot show an old head, or
// one that is none.
type Several interface {
	// Checkpoints gives take the newest signed checkpoints of so many nodes, or of fewer where
	// no other answers. Where take returns an error it is that node's fault, and another one is
	// asked; the error is why none was taken.
	Checkpoints(ctx context.Context, nodes int, take func(note []byte) error) error
	// Unlike says that the leaves which came since the last checkpoints are not those under
	// them, and why: another node gives them from then on. false: there is none that did not.
	Unlike(why error) bool
	// Doubt says that what a node answered to the last Append is not so, and why: another one
	// takes the next. false: there is none that was not doubted.
	Doubt(why error) bool
	// Anew says that what is appended from now on has nothing to do with what was: nobody is
	// doubted.
	Anew()
}

// Gate says how strongly the keepers' rule is enforced.
type Gate string

const (
	// Advisory: whoever can read the folder can also read the keeper's shares, so
	// that the gate is a rule of honest software only.
	Advisory Gate = "advisory"
	// Enforced: the keeper runs where the recipient cannot read.
	Enforced Gate = "enforced"
)

// Outcome is what a ledger says to one submitted entry. Exactly one of these
// holds: Refusal is set; or the entry stands in the log at Index.
type Outcome struct {
	ID        contract.ID
	Index     uint64        // position in the log
	Hour      contract.Hour // ledger hour it was judged at
	Duplicate bool          // the same entry stood in the log before: nothing was added
	Refusal   *contract.Refusal
}

// Ledger is an ordered, append-only list of entries with its log. What it
// answers is believed only after the checks of Client.
type Ledger interface {
	Properties() Properties
	// Genesis returns the configuration document whose hash is the ledger's id.
	Genesis(ctx context.Context) ([]byte, error)
	// Append judges the entries in order and makes the accepted ones durable and
	// visible together. When it returns an error nothing or everything of the
	// batch was ordered: look the entries up before sending them again.
	// It returns one Outcome per entry.
	Append(ctx context.Context, entries []contract.Entry) ([]Outcome, error)
	// Checkpoint returns the newest signed checkpoint (C2SP tlog-checkpoint).
	Checkpoint(ctx context.Context) ([]byte, error)
	// Leaves returns the leaves [from, to), at most 65,536 at a time.
	Leaves(ctx context.Context, from, to uint64) ([]contract.Leaf, error)
	// ProveConsistency proves that the log of size old is a prefix of the log of
	// size new (RFC 6962 section 2.1.2), 1 ≤ old ≤ new.
	ProveConsistency(ctx context.Context, old, new uint64) ([]crypto.Hash, error)
}

// Prover is a Ledger that can be asked about single entries: one that is at hand. At
// a node such a question would say which entries are one person's.
type Prover interface {
	// Find returns the position of an entry, and false if the log has none such.
	Find(ctx context.Context, id contract.ID) (index uint64, ok bool, err error)
	// ProveThread proves the state of the thread opened at index at the head of
	// the given size, which must be the current size.
	ProveThread(ctx context.Context, index, size uint64) (ThreadProof, error)
}

// ThreadProof shows the state of one thread at a head: Last, the log's last
// leaf, is in the log under the checkpoint; Slot is in the state tree under
// Last's state root. The thread's follow-ups, given beside it, must yield the
// chain in Slot, so that none can be hidden.
type ThreadProof struct {
	Size      uint64        // of the log and of the state tree
	Last      contract.Leaf // leaf Size-1
	LastProof []crypto.Hash // inclusion of Last in the log
	Index     uint64        // where the thread was opened
	Slot      []byte        // contract.State.Slot()
	SlotProof []crypto.Hash // inclusion of Slot in the state tree
	FollowUps []uint64      // positions of the thread's accepted follow-ups, in order
}

// Part names one payload of an entry in a store.
type Part byte

const (
	PartMetadata Part = 1 // of a record: title, category, file name, piece of the content's address
	PartContent  Part = 2 // of a record: the age file
	PartTerms    Part = 3 // of a grant: what the recipient may read at once
	PartEnvelope Part = 4 // of a grant: the locked envelope with the file keys
	PartAccess   Part = 5 // of an access: reason and address
)

// PartOf is a payload of an entry.
type PartOf struct {
	Entry contract.ID
	Part  Part
}

// Put is one small payload on its way to a store: the signed entry that commits
// to it, the package behind the entry's commitment, and the locators under which
// it will be served.
type Put struct {
	Entry    contract.Entry
	Package  []byte // what Entry.Commitment covers, see package contract; of an access: nil
	Part     Part
	Locators []crypto.Locator // one or two
	Blob     []byte           // 32-byte salt ‖ body
}

// Store holds ciphertext and is trusted with nothing: a reader checks every
// byte against the entry's commitment.
type Store interface {
	// PutBlobs stores small payloads durably, before their entries are ordered.
	// Payloads of entries that never come are dropped after an hour. Storing the
	// same again is a no-op. When one payload is refused, by a *StoreError, none is
	// stored.
	PutBlobs(ctx context.Context, puts []Put) error
	// Upload begins the upload of a large content.
	Upload(ctx context.Context) (Upload, error)
	// Blob returns the payload with that locator, *NotFoundError if there is none
	// or it was erased.
	Blob(ctx context.Context, loc crypto.Locator) (Blob, error)
	// Erase removes the payloads of a thread for good: withdrawal must be an
	// entry that withdraws it and is on the ledger. Again: a no-op.
	Erase(ctx context.Context, withdrawal contract.Entry) error
}

// Upload takes the bytes of one content. Either Commit or Abort ends it; a
// process that dies leaves bytes that are dropped after an hour.
type Upload interface {
	io.Writer
	// Sum returns the size and the tree head (see ContentHead) of what was written,
	// computed in this process. Nothing can be written after it.
	Sum() (size int64, head crypto.Hash, err error)
	// Commit makes what was written durable as the content of put.Entry; put.Blob
	// is not used. What was written must be the ContentSize bytes of the record
	// package, without the list of piece hashes, which the store adds itself.
	Commit(put Put) error
	// Abort drops what was written; after Commit it does nothing.
	Abort() error
}

// Joint is an Upload that many can end with: what each of them holds is durable by itself,
// and all become contents together, as what one PutBlobs brings does.
type Joint interface {
	Upload
	// Join is Commit but for the last step, which JoinAll does: until then nobody finds
	// what was written, and Abort drops it.
	Join(put Put) error
	// JoinAll makes contents of uploads that were joined, of this one's store: all, or
	// with an error none for sure.
	JoinAll(ctx context.Context, joined []Joint) error
}

// Blob is a stored payload, open for reading. That of a content ends with the
// record hashes of its pieces, 32 bytes each, behind the ContentSize bytes
// themselves: a reader checks the list against the content head, then each piece
// against the list before it releases a byte of it.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Deposit hands a keeper its share of the key that locks one grant's envelope.
type Deposit struct {
	Ledger    crypto.LedgerID
	Grant     contract.ID
	Keeper    crypto.PubKey // whom it is meant for
	Share     crypto.Share
	Package   []byte           // contract.GrantPackage: lists the hash of every share
	Signature crypto.Signature // by the grant's author, over all of the above
}

// Receipt is a keeper's signed word that it holds a share.
type Receipt struct {
	Ledger    crypto.LedgerID
	Grant     contract.ID
	Keeper    crypto.PubKey
	Index     byte        // which share
	Share     crypto.Hash // its hash
	Hour      contract.Hour
	Signature crypto.Signature // by Keeper
}

// Request asks a keeper for its share against an access entry.
type Request struct {
	Ledger    crypto.LedgerID
	Keeper    crypto.PubKey
	Access    contract.Entry   // signed; names the grant. Also when the ledger refused it
	Response  crypto.PubKey    // fresh key that the share is sealed to
	Signature crypto.Signature // by Access.Author
}

// Code is a keeper's answer to a request, in a word.
type Code byte

const (
	Released     Code = 0
	UnknownGrant Code = 1  // no such grant on the keeper's replica
	NoShare      Code = 2  // nothing was deposited yet
	NotYet       Code = 3  // before the window
	Expired      Code = 4  // after the window, by ledger time or by the keeper's clock
	Revoked      Code = 5  // on the ledger, or stopped by a revocation sent directly
	NoAccess     Code = 6  // the access is not on the ledger (refused, or not final)
	AccessTooOld Code = 7  // the access is 24 hours old or more
	WrongKey     Code = 8  // the request is not signed by the grant's counterparty
	Destroyed    Code = 9  // the share was destroyed
	StaleHead    Code = 10 // the keeper's own replica is not fresh
	BadRequest   Code = 11 // another ledger, another keeper, not an access
)

// Answer is a keeper's signed answer to a Request, release or refusal.
type Answer struct {
	Request   crypto.Hash // Request.Hash: of the request with its signature
	Grant     contract.ID // zero when the request names none
	Code      Code
	Hour      contract.Hour // ledger hour of the keeper's replica
	Size      uint64        // of the keeper's log
	Root      crypto.Hash   // of the keeper's log
	Sealed    []byte        // Released only: the share, HPKE-sealed to Request.Response
	Signature crypto.Signature
}

// Acknowledgement is a keeper's signed word on the end of a share.
type Acknowledgement struct {
	Ledger    crypto.LedgerID
	Grant     contract.ID
	Keeper    crypto.PubKey
	End       End
	Hour      contract.Hour
	Signature crypto.Signature
}

// End says what became of a share.
type End byte

const (
	Stopped        End = 1 // a valid revocation was seen; nothing more is released
	DestroyedShare End = 2 // the share was overwritten and removed
)

// Refused is one refused request as a keeper kept it.
type Refused struct {
	Request Request
	Answer  Answer
}

// KeeperState is what a keeper says of one grant before any access is written.
type KeeperState struct {
	Grant contract.ID
	Held  bool // the share is there
	Ended End  // 0: not stopped and not destroyed
}

// Inquiry asks a keeper for what it filed about a grant, signed by the grant's
// author; or for the state of its share.
type Inquiry struct {
	Ledger    crypto.LedgerID
	Keeper    crypto.PubKey
	Grant     contract.ID
	Nonce     [32]byte // fresh, random: an older answer does not fit
	Signature crypto.Signature
}

// InquiryAnswer is all that a keeper filed about a grant, signed over the inquiry:
// who carries it can leave nothing out and repeat no older one.
type InquiryAnswer struct {
	Inquiry   crypto.Hash // Inquiry.Hash: of the inquiry with its signature
	Size      uint64      // of the keeper's log
	Root      crypto.Hash // of the keeper's log
	Refused   []Refused   // requests, oldest first
	More      uint32      // how many more were refused and only counted, see keeper.MaxRefused
	Acks      []Acknowledgement
	Signature crypto.Signature // by the keeper
}

// NearKeeper is a Keeper at hand: who asks it could read, and write, all that it holds, so
// that a signature under a question or under an answer would prove nothing. What it filed
// is signed all the same, each by itself: see InquiryAnswer.VerifyFiled. Asking about a
// grant costs no more than looking it up.
type NearKeeper interface {
	Keeper
	// FiledAll returns for each grant what Inquire would, without a signature, or why not.
	FiledAll(ctx context.Context, grants []contract.ID) ([]InquiryAnswer, []error, error)
	// StateAll returns for each grant what State would, or why not.
	StateAll(ctx context.Context, grants []contract.ID) ([]KeeperState, []error, error)
}

// Keeper holds a share of the key to each envelope and releases it only against
// a valid access entry, judged on its own replica.
type Keeper interface {
	Key() crypto.PubKey
	// Deposit stores shares durably; the same again yields a receipt again. The
	// grants must be on the ledger. One receipt per deposit. When some are refused
	// the error is a *BatchError of *KeeperError: their receipts are zero, all the
	// others are stored and have theirs.
	Deposit(ctx context.Context, deposits []Deposit) ([]Receipt, error)
	// State tells one of the grant's two sides whether a release can be asked for; see
	// Inquiry.SignState. Whoever else asks, or asks for a grant that is not on the
	// ledger, gets a *KeeperError.
	State(ctx context.Context, q Inquiry) (KeeperState, error)
	// Release answers a request, signed, refusals too; an error means no answer.
	Release(ctx context.Context, r Request) (Answer, error)
	// Revoke takes signed revocations, also before they are ordered, and stops;
	// a revocation that is ordered destroys the share. One answer per entry; refused
	// entries make a *BatchError as in Deposit.
	Revoke(ctx context.Context, revocations []contract.Entry) ([]Acknowledgement, error)
	// Inquire returns the refused requests and the acknowledgements of a grant,
	// signed. Verify them with InquiryAnswer.Verify.
	Inquire(ctx context.Context, q Inquiry) (InquiryAnswer, error)
}
