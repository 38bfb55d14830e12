// Package node is how a wallet reaches a ledger, its store and its keeper over
// HTTP: the encodings that both sides use, and the client. Package server below
// it is the other side. PROTOCOL.md is the specification; a client or a server in
// another language needs nothing else but contract/SPEC.md.
//
// The files wire*.go hold the encodings. Each value has one, and what parses
// re-encodes identically, but for problems, which are JSON and read as JSON is: any order, unknown members passed over. A parser checks layout and ranges;
// whether keys are points, signatures hold and entries obey the contract is for those
// who know the ledger.
package node

import (
	"errors"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
)

// Version is the version of the protocol that this package speaks.
const Version = 3

// Prefix is what all paths begin with. The C2SP tlog-tiles of the ledger are
// served under it: it is the log's URL prefix without the slash at the end.
const Prefix = "/carekey/v1/"

// The paths. Those with a slash at the end take more.
const (
	PathGenesis    = Prefix + "genesis"    // GET: the configuration document
	PathConfig     = Prefix + "config"     // GET: the documents that followed it
	PathCheckpoint = Prefix + "checkpoint" // GET: signed note
	PathCosign     = Prefix + "cosign"     // GET, POST: signed notes among nodes, see Peer
	PathNews       = Prefix + "news"       // GET: News, from HeaderFrom on
	PathWitnessed  = Prefix + "witnessed"  // GET: signed note
	PathTile       = Prefix + "tile/"      // GET: see TilePath, BundlePath

	PathWithdrawn = Prefix + "withdrawn" // GET: lists of withdrawn tokens, see Withdrawn
	PathSites     = Prefix + "sites"     // GET: where the institutions are reached, see Site

	PathEntries = Prefix + "entries" // POST: entries → Ordered, with News from HeaderFrom on

	PathBlobs        = Prefix + "blobs"          // POST: puts. GET, HEAD: the payload with the locator in HeaderLocator
	PathUploads      = Prefix + "uploads"        // POST: an UploadBegun
	PathUploadPart   = Prefix + "uploads/part"   // POST: UploadPart
	PathUploadCommit = Prefix + "uploads/commit" // POST: UploadCommit
	PathUploadAbort  = Prefix + "uploads/abort"  // POST: UploadID
	PathErase        = Prefix + "erase"          // POST: one entry, a withdrawal
	PathCopies       = Prefix + "copies"         // POST: CopyRequest → Copy, among nodes

	PathDeposit = Prefix + "keeper/deposit" // POST: deposits → receipts
	PathState   = Prefix + "keeper/state"   // POST: ledgerclient.Inquiry → ledgerclient.KeeperState
	PathRelease = Prefix + "keeper/release" // POST: ledgerclient.Request → ledgerclient.Answer
	PathRevoke  = Prefix + "keeper/revoke"  // POST: entries → acknowledgements
	PathInquire = Prefix + "keeper/inquire" // POST: ledgerclient.Inquiry → ledgerclient.InquiryAnswer

	PathBulk = Prefix + "bulk" // POST: questions → what is said to each, see Question

	// Of a node that takes links. /s and /view are for those who have one and know nothing of
	// this protocol.
	PathLinks       = Prefix + "links"         // GET: ledgerclient.LinkTerms in JSON. POST: ledgerclient.LinkDeposit → ledgerclient.LinkReceipt
	PathLinkInquire = Prefix + "links/inquire" // POST: ledgerclient.Inquiry → ledgerclient.LinkAnswer
	PathLink        = "/s/"                    // behind it the id of a link. GET: a JWE. POST: a manifest
	PathView        = "/view"                  // GET: the page that opens links in a browser
)

// Headers and media types.
const (
	// HeaderVersion is the version of a request, and of an answer, in decimal. Who
	// sends none reads what is the same in all.
	HeaderVersion = "Carekey-Version"
	// HeaderLocator of a GET of PathBlobs is the secret locator, 64 hexadecimal
	// digits in lower case. It is in no URL, since URLs get logged.
	HeaderLocator = "Carekey-Locator"
	// HeaderFrom is the position of the first leaf in the News that are asked for, and in
	// questions to the keeper how many leaves who asks has seen.
	HeaderFrom = "Carekey-From"

	TypeBinary  = "application/octet-stream"
	TypeNote    = "text/plain; charset=utf-8"
	TypeProblem = "application/problem+json"
)

// Limits of the protocol.
const (
	MaxEntries  = 4096                 // entries, deposits or revocations in one request
	MaxPuts     = 4096                 // payloads in one request
	MaxLinkURL  = 82                   // bytes of what is before /s/ in a link: it may have 128 in all
	MaxBlob     = 65 << 20             // bytes of one small payload
	MaxPackage  = 8258                 // bytes of the package behind a commitment: a grant with 255 shares
	MaxPutsSize = 66 << 20             // bytes of a request with payloads
	MaxPart     = 4 << 20              // bytes of content in one part of an upload
	MaxContent  = 1 << 40              // bytes of one content
	MaxDocument = 1 << 20              // bytes of a configuration document
	MaxConfigs  = 1024                 // documents in a configuration list
	MaxNote     = ledgerclient.MaxNote // bytes of a checkpoint with all its signatures
	MaxNews     = 512                  // leaves in News
	MaxProblem  = 64 << 10             // bytes of a problem document
	MaxInquiry  = 2 << 20              // bytes of an answer to an inquiry: 1,000 refused requests have about 600 kB
	MaxToken    = 184                  // characters of a submit token in an invitation
	BundleWidth = 256                  // entries in a full entry bundle, hashes in a full tile
	MaxDeposits = 16 << 20             // bytes of a request with deposits
	MaxBulk     = 16 << 20             // bytes of an answer to ledgerclient.MaxBulk questions
)

// HeadAge is how old the time in a checkpoint may be, and how far in the future,
// before a client takes the head for frozen.
const HeadAge = 10 * time.Minute

// CosignEvery is how old the time in a checkpoint gets before a node makes it
// anew.
const CosignEvery = 30 * time.Second

// ValidToken reports whether s can be the submit token of an invitation: 16 to MaxToken
// characters out of letters, digits, '-', '_', '.' and '~'. One that is of use is what
// [ParseToken] reads.
func ValidToken(s string) bool {
	return len(s) >= 16 && len(s) <= MaxToken && strings.Trim(s, letters+strings.ToUpper(letters)+digits+"-_.~") == ""
}

const (
	letters = "abcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

var errSpare = errors.New("not encoded as it is written")

func malformed(what string, err error) error {
	return ledgerclient.ErrMessage.Of(err, "message", what)
}

// Form is how values of one type travel. What Parse takes, Marshal writes as the same
// bytes.
type Form[T any] struct {
	what   string // in errors
	fields func(*codec.Codec, *T)
}

// Marshal encodes a value.
func (f Form[T]) Marshal(v T) []byte {
	return codec.Append(nil, func(c *codec.Codec) { f.fields(c, &v) })
}

// Parse decodes what is all of b; on an error the value is zero. What varies in length
// shares memory with b.
func (f Form[T]) Parse(b []byte) (v T, err error) {
	if err := codec.Parse(b, func(c *codec.Codec) { f.fields(c, &v) }); err != nil {
		return *new(T), malformed(f.what, err)
	}
	return v, nil
}

// list are least to most items one behind the other.
func list[T any](what string, least, most int, item func(*codec.Codec, *T)) Form[[]T] {
	return Form[[]T]{what, func(c *codec.Codec, items *[]T) { codec.All(c, items, least, most, item) }}
}
