package folder

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// head is a checkpoint.
type head struct {
	size uint64
	root crypto.Hash
	raw  []byte // the signed note
	next uint64 // of a replica: see there; otherwise 0
}

// file is the content of the file `checkpoint`.
func (h head) file() []byte {
	if h.next == 0 {
		return h.raw
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "order %d\n%s", h.next, h.raw))
	return fmt.Appendf(nil, "order %d %x\n%s", h.next, sum, h.raw)
}

// maxCheckpoint is more than a checkpoint has bytes.
const maxCheckpoint = 4096

// checkpointKey reads and signs checkpoints of one ledger.
type checkpointKey struct {
	note.Verifier
	public ed25519.PublicKey
}

func newCheckpointKey(origin string, public [32]byte) (checkpointKey, error) {
	v, err := ledgerclient.NewVerifier(origin, public)
	return checkpointKey{v, public[:]}, err
}

// newReplicaKey is the key of a follower's folder. Its checkpoints have a name of
// their own, so that they can be taken for the ledger's nowhere.
func newReplicaKey(id crypto.LedgerID, key ed25519.PrivateKey) (checkpointKey, error) {
	return newCheckpointKey(ledgerclient.Origin(id)+"/replica", [32]byte(key.Public().(ed25519.PublicKey)))
}

// checkpointSigner makes it a note.Signer.
type checkpointSigner struct {
	checkpointKey
	private ed25519.PrivateKey
}

func (k checkpointSigner) Sign(msg []byte) ([]byte, error) {
	return ed25519.Sign(k.private, msg), nil
}

func (k checkpointKey) text(size uint64, root crypto.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", k.Name(), size, tlog.Hash(root))
}

func (k checkpointSigner) checkpoint(size uint64, root crypto.Hash) (head, error) {
	raw, err := note.Sign(&note.Note{Text: k.text(size, root)}, k)
	return head{size: size, root: root, raw: raw}, err
}

// parseFile reads the file `checkpoint`.
func (k checkpointKey) parseFile(b []byte) (head, error) {
	var next uint64
	raw := b
	if n, _ := fmt.Sscanf(string(b), "order %d ", &next); n == 1 {
		_, raw, _ = bytes.Cut(b, []byte{'\n'})
	}
	h, err := k.parse(raw)
	h.next = next
	if err == nil && !bytes.Equal(h.file(), b) {
		err = errors.New("not encoded as it was written")
	}
	return h, err
}

// ForeignCheckpoint is DamagedError.What of a checkpoint that is not this ledger's.
const ForeignCheckpoint = "of another ledger"

// parse reads a checkpoint: exactly one signature, and no other bytes than those
// that checkpoint writes.
func (k checkpointKey) parse(raw []byte) (head, error) {
	if len(raw) > maxCheckpoint {
		return head{}, errors.New("too long")
	}
	if first, _, _ := bytes.Cut(raw, []byte{'\n'}); string(first) != k.Name() {
		return head{}, errors.New(ForeignCheckpoint)
	}
	n, err := note.Open(raw, note.VerifierList(k))
	if err != nil {
		return head{}, errors.New("signature does not verify")
	}
	lines := bytes.Split([]byte(n.Text), []byte{'\n'})
	if len(lines) != 4 || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return head{}, errors.New("not a checkpoint")
	}
	size, err := strconv.ParseInt(string(lines[1]), 10, 64)
	if err != nil || size < 1 {
		return head{}, errors.New("not a checkpoint")
	}
	root, err := tlog.ParseHash(string(lines[2]))
	if err != nil {
		return head{}, errors.New("not a checkpoint")
	}
	h := head{size: uint64(size), root: crypto.Hash(root), raw: raw}
	// Base64 has spare bits: only one encoding counts.
	sig, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil || len(sig) != 4+ed25519.SignatureSize || binary.BigEndian.Uint32(sig) != k.KeyHash() {
		return head{}, errors.New("signature is not encoded as it was written")
	}
	want := k.text(h.size, h.root) + "\n— " + k.Name() + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
	if string(raw) != want {
		return head{}, errors.New("not encoded as it was written")
	}
	return h, nil
}

// Key files hold 32 bytes in lower-case hexadecimal and a newline.

func marshalKey(b [32]byte) []byte { return append(hex.AppendEncode(nil, b[:]), '\n') }

func parseKey(text []byte) (b [32]byte, ok bool) {
	if len(text) != 65 {
		return b, false
	}
	n, err := hex.Decode(b[:], text[:64])
	return b, err == nil && n == 32 && bytes.Equal(text, marshalKey(b))
}
