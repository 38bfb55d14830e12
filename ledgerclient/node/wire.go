// Package node is how a wallet reaches a ledger, its store and its keeper over
// HTTP: the encodings that both sides use, and the client. Package server below
// it is the other side. PROTOCOL.md is the specification; a client or a server in
// another language needs nothing else but contract/SPEC.md.
//
// The files wire*.go hold the encodings. Each value has one, and what parses
// re-encodes identically, but for the two JSON documents (properties, problem),
// which are read as JSON is: any order, unknown members passed over. A parser
// checks layout and ranges; whether keys are points, signatures hold and entries
// obey the contract is for those who know the ledger.
package node

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/ledgerclient"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

// Prefix is what all paths begin with. The C2SP tlog-tiles of the ledger are
// served under it: it is the log's URL prefix without the slash at the end.
const Prefix = "/carekey/v1/"

// The paths. Those with a slash at the end take more.
const (
	PathGenesis    = Prefix + "genesis"    // GET: the configuration document
	PathConfig     = Prefix + "config"     // GET: the documents that followed it
	PathProperties = Prefix + "properties" // GET: Properties
	PathCheckpoint = Prefix + "checkpoint" // GET: signed note
	PathTile       = Prefix + "tile/"      // GET: see TilePath, BundlePath

	PathEntries     = Prefix + "entries"       // POST: entries → outcomes
	PathEntry       = Prefix + "entries/"      // GET <id>: position
	PathThreadProof = Prefix + "proof/thread/" // GET <index>/<size>: ledgerclient.ThreadProof

	PathBlobs        = Prefix + "blobs"          // POST: puts. GET, HEAD: the payload with the locator in HeaderLocator
	PathUploads      = Prefix + "uploads"        // POST: a new UploadID
	PathUploadPart   = Prefix + "uploads/part"   // POST: UploadPart
	PathUploadCommit = Prefix + "uploads/commit" // POST: UploadCommit
	PathUploadAbort  = Prefix + "uploads/abort"  // POST: UploadID
	PathErase        = Prefix + "erase"          // POST: one entry, a withdrawal

	PathDeposit = Prefix + "keeper/deposit" // POST: deposits → receipts
	PathState   = Prefix + "keeper/state"   // POST: ledgerclient.Inquiry → ledgerclient.KeeperState
	PathRelease = Prefix + "keeper/release" // POST: ledgerclient.Request → ledgerclient.Answer
	PathRevoke  = Prefix + "keeper/revoke"  // POST: entries → acknowledgements
	PathInquire = Prefix + "keeper/inquire" // POST: ledgerclient.Inquiry → ledgerclient.InquiryAnswer
)

// Headers and media types.
const (
	// HeaderVersion of a request lists the versions that the client speaks, of an
	// answer the one that it is in: see NegotiateVersion.
	HeaderVersion = "Carekey-Version"
	// HeaderLocator of a GET of PathBlobs is the secret locator, 64 hexadecimal
	// digits in lower case. It is in no URL, since URLs get logged.
	HeaderLocator = "Carekey-Locator"

	TypeBinary  = "application/octet-stream"
	TypeNote    = "text/plain; charset=utf-8"
	TypeJSON    = "application/json"
	TypeProblem = "application/problem+json"
)

// Limits of the protocol. A node may have lower ones: see Properties.
const (
	MaxEntries   = 4096       // entries, deposits or revocations in one request
	MaxPuts      = 4096       // payloads in one request
	MaxBlob      = 65 << 20   // bytes of one small payload
	MaxPackage   = 8258       // bytes of the package behind a commitment: a grant with 255 shares
	MaxPutsSize  = 66 << 20   // bytes of a request with payloads
	MaxPart      = 4 << 20    // bytes of content in one part of an upload
	MaxContent   = 1 << 40    // bytes of one content
	MaxDocument  = 1 << 20    // bytes of a configuration document
	MaxConfigs   = 1024       // documents in a configuration list
	MaxNote      = 4096       // bytes of a checkpoint with all its signatures
	MaxFollowUps = 1 << 20    // follow-ups in one thread proof
	MaxProblem   = 64 << 10   // bytes of a problem document
	MaxInquiry   = 2 << 20    // bytes of an answer to an inquiry: 1,000 refused requests have about 600 kB
	MaxToken     = 64         // characters of a submit token
	BundleWidth  = 256        // entries in a full entry bundle, hashes in a full tile
	BundleSize   = 256 * 260  // bytes of a full entry bundle
	TileSize     = 256 * 32   // bytes of a full tile
	MaxDeposits  = 16 << 20   // bytes of a request with deposits
	MaxReplies   = 1024 << 10 // bytes of the answer to entries, deposits or revocations
)

// HeadAge is how old the time in a checkpoint may be, and how far in the future,
// before a client takes the head for frozen.
const HeadAge = 10 * time.Minute

// CosignEvery is how old the time in a checkpoint gets before a node makes it
// anew.
const CosignEvery = time.Minute

// NegotiateVersion picks the version of an answer from what a request's
// HeaderVersion lists: numbers in decimal, separated by commas. Without the header
// it is version 1. ok is false if there is none that both sides speak.
func NegotiateVersion(header string) (version int, ok bool) {
	if header == "" {
		return Version, true
	}
	for field := range strings.SplitSeq(header, ",") {
		if v, err := strconv.ParseUint(strings.TrimSpace(field), 10, 16); err == nil && v == Version {
			return Version, true
		}
	}
	return 0, false
}

// ValidToken tells whether s can be a submit token: 16 to MaxToken characters out
// of letters, digits, '-', '_', '.' and '~'.
func ValidToken(s string) bool {
	if len(s) < 16 || len(s) > MaxToken {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

var (
	errLength = errors.New("length")
	errRange  = errors.New("value out of range")
	errSpare  = errors.New("not encoded as it is written")
)

func malformed(what string, err error) error {
	return &ledgerclient.MessageError{Message: what, Err: err}
}

// reader takes fields off b. After the first error it yields zeros. What it
// returns are parts of b.
type reader struct {
	b   []byte
	err error
}

func (r *reader) next(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.err = errLength
	}
	if r.err != nil {
		return nil
	}
	field := r.b[:n:n]
	r.b = r.b[n:]
	return field
}

func (r *reader) take(dst []byte) { copy(dst, r.next(len(dst))) }

func (r *reader) byte() byte {
	if b := r.next(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.next(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.next(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// sized takes a field behind its length in 4 bytes. An empty field is nil.
func (r *reader) sized(most int) []byte {
	n := r.uint32()
	if r.err == nil && n > uint32(most) {
		r.err = errRange
	}
	if r.err != nil || n == 0 {
		return nil
	}
	return r.next(int(n))
}

func (r *reader) check(ok bool) {
	if r.err == nil && !ok {
		r.err = errRange
	}
}

func (r *reader) end(what string) error {
	if r.err == nil && len(r.b) > 0 {
		r.err = errLength
	}
	if r.err != nil {
		return malformed(what, r.err)
	}
	return nil
}

func appendSized(b, field []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
	return append(b, field...)
}
