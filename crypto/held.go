package crypto

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"errors"
	"hash"
	"sync"
	"sync/atomic"

	"github.com/carekey/carekey/crypto/codec"
)

// What a process that holds keys is asked, and what it answers: FORMAT.md, "Keys held by
// another process".

// MaxKeyMessage is the size of the largest request, and of the largest answer, in bytes.
const MaxKeyMessage = 255

// The uses by number.
const (
	useBegin     = 1 + iota // what is handed out at the beginning
	useSeed                 // of an entry
	useSign                 // with S
	useRecognize            // a thread
	useSignAs               // with p_sig of a thread
	useRecord               // unwrap a file key of a record
	useOpen                 // unwrap one sealed to oneself
	useOpenAs               // unwrap one sealed to P_seal of a thread
)

// keyRequest asks for one use.
type keyRequest struct {
	use    uint8
	thread thread // of all uses the ledger
	nonce  Nonce
	digest Hash
	part   uint8
	signer PubKey // author of the entry whose payload is opened
	stanza [hpkeEncSize]byte
	body   [fileKeyLen + hpkeTagSize]byte
}

func (r *keyRequest) fields(c *codec.Codec) {
	codec.Int(c, &r.use)
	c.Check(useBegin <= r.use && r.use <= useOpenAs)
	c.Bytes(r.thread.ledger[:])
	switch r.use {
	case useRecognize, useSignAs, useOpenAs:
		c.Bytes(r.thread.author[:], r.thread.counterparty[:])
		c.Check(!r.thread.author.IsZero()) // else it would be oneself
	}
	switch r.use {
	case useSeed:
		c.Bytes(r.nonce[:])
	case useSign, useSignAs:
		c.Bytes(r.digest[:])
	case useOpen, useOpenAs:
		codec.Int(c, &r.part)
		c.Bytes(r.signer[:])
		c.Check(!r.signer.IsZero()) // else it would be a record
		c.Bytes(r.stanza[:], r.body[:])
	case useRecord:
		c.Bytes(r.stanza[:], r.body[:])
	}
}

// keyAnswer is what one use gives.
type keyAnswer struct {
	state   uint8
	address [addressSize]byte
	self    PubKey
	secret  [32]byte // local key, seed, or what locators derive from
	tags    [32]byte
	sig     Signature
	seal    PubKey
	fileKey [fileKeyLen]byte
}

// States of an answer.
const (
	answerDone  = iota
	answerNo    // it is not one's own, or does not open
	answerNoKey // the author key is none
	answers
)

// fields of the answer to a use.
func (a *keyAnswer) fields(use uint8) func(*codec.Codec) {
	return func(c *codec.Codec) {
		codec.Int(c, &a.state)
		c.Check(a.state == answerDone || a.state < answers && use >= useRecognize)
		if a.state != answerDone {
			return
		}
		switch use {
		case useBegin:
			c.Bytes(a.address[:], a.self[:], a.secret[:], a.tags[:])
		case useSeed:
			c.Bytes(a.secret[:])
		case useSign, useSignAs:
			c.Bytes(a.sig[:])
		case useRecognize:
			c.Bytes(a.seal[:], a.secret[:])
		case useRecord, useOpen, useOpenAs:
			c.Bytes(a.fileKey[:])
		}
	}
}

func (a *keyAnswer) wipe() {
	clear(a.secret[:])
	clear(a.tags[:])
	clear(a.fileKey[:])
}

// HeldKeys answer what [AskKeys] asks. They are safe for concurrent use.
type HeldKeys struct {
	redacted
	root *heldRoot
	kept *kept
}

// HeldMemory is how many bytes HoldKeys takes.
const HeldMemory = 512

// HoldKeys holds the keys of a root in the memory that it is given, of which the first 32
// bytes are the root, and nowhere else. What follows from it is derived for each use and
// overwritten after it; the root itself is not needed any more and overwritten at once.
func HoldKeys(memory *[HeldMemory]byte) *HeldKeys {
	root := newHeldRoot(memory)
	sign, view := newPrivateKey(expandScalar(root, TagSignKey), true), newPrivateKey(expandScalar(root, TagViewKey), true)
	id := newIdentity(sign, view)
	address, point := id.Address(), id.p().signPoint
	id.Wipe()
	selfKey := func() *PrivateKey { return newPrivateKey(expandScalar(root, TagSelfKey), true) }
	self := selfKey()
	public := self.public()
	self.Wipe()
	return &HeldKeys{root: root, kept: &kept{
		seedOf: func(l LedgerID, n Nonce) Seed {
			b := root.expand(TagSeed, l[:], n[:])
			defer clear(b)
			return Seed{newSecret32(b)}
		},
		identity: func() *Identity {
			p := &identity{sign: newPrivateKey(expandScalar(root, TagSignKey), true), view: newPrivateKey(expandScalar(root, TagViewKey), true), address: address, signPoint: point}
			return &Identity{p: hide(p)}
		},
		self: func() *PrivateKey {
			k := selfKey()
			k.p().public.Store(public)
			return k
		},
		done:  func(wipe func()) { wipe() },
		wiped: func() { clear(memory[:]) },
	}}
}

// heldRoot is the pseudo-random key that HKDF extracts from a root, as the two states of
// SHA-256 from which HMAC begins: crypto/hkdf and crypto/hmac leave the root, or what it
// follows from, on the heap each time they are called. The one hash is overwritten after
// each use.
type heldRoot struct {
	mu     sync.Mutex
	states *[HeldMemory]byte
	hash   hash.Hash
}

const (
	hashState = 108 // bytes of a state of SHA-256, as it is written
	hashBlock = sha256.BlockSize
)

func newHeldRoot(memory *[HeldMemory]byte) *heldRoot {
	r := &heldRoot{states: memory, hash: sha256.New()}
	// The second time what the first one left on the stack is overwritten.
	for _, m := range []*[HeldMemory]byte{memory, new([HeldMemory]byte)} {
		r.begin(m)
	}
	r.forget()
	return r
}

// begin makes the states of the root in m.
func (r *heldRoot) begin(m *[HeldMemory]byte) {
	states, rest := m[:2*hashState], m[2*hashState:]
	block, inner, prk := rest[:hashBlock], rest[hashBlock:hashBlock:hashBlock+32], rest[hashBlock+32:hashBlock+32:hashBlock+64]
	pads := [2]byte{0x36, 0x5c} // of HMAC
	under := func(key []byte, pad byte, message []byte) {
		clear(block)
		copy(block, key)
		for i := range block {
			block[i] ^= pad
		}
		r.hash.Reset()
		r.hash.Write(block)
		r.hash.Write(message)
	}
	under(nil, pads[0], m[:32]) // HKDF-Extract without salt
	inner = r.hash.Sum(inner)
	under(nil, pads[1], inner)
	prk = r.hash.Sum(prk)
	clear(states)
	for i, pad := range pads {
		under(prk, pad, nil)
		if _, err := r.hash.(encoding.BinaryAppender).AppendBinary(states[i*hashState : i*hashState : (i+1)*hashState]); err != nil {
			panic("crypto: " + err.Error()) // can't happen: it is one of SHA-256
		}
	}
	clear(rest)
}

// expand is prk.expand.
func (r *heldRoot) expand(tag Tag, context ...[]byte) (out []byte) {
	message := append(info(tag, context...), 1)
	out = make([]byte, 0, 32)
	Scrub(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		out = r.from(0, message, out)
		out = r.from(1, out, out[:0])
		r.from(1, make([]byte, 32), make([]byte, 0, 32)) // over what that left on the stack
		r.forget()
	})
	return out
}

// from is one of the two hashes of HMAC.
func (r *heldRoot) from(state int, message, out []byte) []byte {
	if err := r.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(r.states[state*hashState : (state+1)*hashState]); err != nil {
		panic("crypto: a root that was wiped is used")
	}
	r.hash.Write(message)
	return r.hash.Sum(out)
}

// forget overwrites what is in the hash.
func (r *heldRoot) forget() {
	r.hash.Reset()
	r.hash.Write(make([]byte, hashBlock-1))
}

// Wipe overwrites the root. Nothing may be asked afterwards, or at the same time.
func (h *HeldKeys) Wipe() { h.kept.Wipe() }

// Answer appends the answer to a request to b. It has no more than MaxKeyMessage bytes,
// and is secret. false: the request is none, which is not answered.
func (h *HeldKeys) Answer(b, request []byte) (answer []byte, ok bool) {
	var r keyRequest
	if codec.Parse(request, r.fields) != nil {
		return b, false
	}
	var a keyAnswer
	defer a.wipe()
	switch err := a.answer(h, &r); {
	case errors.Is(err, ErrPubKey):
		a.state = answerNoKey
	case err != nil:
		a.state = answerNo
	}
	return codec.Append(b, a.fields(r.use)), true
}

func (a *keyAnswer) answer(h *HeldKeys, r *keyRequest) (err error) {
	k := h.kept
	w := wrapped{stanza: r.stanza, body: r.body}
	switch r.use {
	case useBegin:
		address := k.Address()
		copy(a.address[:], address.signed())
		a.self = k.Self()
		local, tags := h.root.expand(TagLocalKey), h.root.expand(TagSelfTag, r.thread.ledger[:])
		copy(a.secret[:], local)
		copy(a.tags[:], tags)
		clear(local)
		clear(tags)
		return nil
	case useSeed:
		s := k.seedOf(r.thread.ledger, r.nonce)
		copy(a.secret[:], s.bytes())
		s.Wipe()
		return nil
	case useSign:
		a.sig, err = k.sign(r.digest)
		return err
	case useRecognize:
		return k.asCounterparty(r.thread, func(keys *OneTimeKeys) {
			a.seal = keys.Seal
			copy(a.secret[:], keys.loc.bytes())
		})
	case useSignAs:
		a.sig, err = k.signAs(r.thread, r.digest)
		return err
	case useOpen, useOpenAs:
		w.in = SealContext{Ledger: r.thread.ledger, Part: r.part, Author: r.signer}
		if r.use == useOpenAs {
			w.of = r.thread
		}
	}
	fileKey, err := k.unwrap(w)
	copy(a.fileKey[:], fileKey)
	clear(fileKey)
	return err
}

// AskKeys returns the keys that another process holds, on a ledger. ask carries a request
// there and brings the answer; it may be called by several goroutines at once.
func AskKeys(l LedgerID, ask func(request []byte) (answer []byte, err error)) (*Keys, error) {
	r := &remote{ask: ask}
	a, err := r.do(&keyRequest{use: useBegin, thread: thread{ledger: l}})
	if err != nil {
		return nil, err
	}
	defer a.wipe()
	address, fault := parseAddress(a.address[:])
	if fault != "" || a.state != answerDone {
		return nil, ErrKeyLocked.Of(errAnswer)
	}
	r.address, r.self = address, a.self
	here := &ciphers{local: localKeyOf(a.secret[:]), tagsOn: func(l LedgerID) ([]byte, error) {
		a, err := r.do(&keyRequest{use: useBegin, thread: thread{ledger: l}})
		defer a.wipe()
		return bytes.Clone(a.tags[:]), err
	}}
	return &Keys{ledger: l, tagger: here.tagger(a.tags[:]), here: here, uses: r}, nil
}

// errAnswer: a process that holds keys has answered nonsense.
var errAnswer = errors.New("an answer that is none")

// remote are keys in another process.
type remote struct {
	ask     func([]byte) ([]byte, error)
	address Address
	self    PubKey
	lost    atomic.Pointer[error]
}

func (r *remote) do(q *keyRequest) (a keyAnswer, err error) {
	if err := r.Lost(); err != nil {
		return a, err
	}
	b, err := r.ask(codec.Append(make([]byte, 0, MaxKeyMessage), q.fields))
	if err == nil && codec.Parse(b, a.fields(q.use)) != nil {
		err = errAnswer
	}
	clear(b)
	if err != nil {
		err = ErrKeyLocked.Of(err)
		r.lost.CompareAndSwap(nil, &err)
		return a, err
	}
	switch a.state {
	case answerNo:
		err = errNotForKey
	case answerNoKey:
		err = ErrPubKey
	}
	return a, err
}

func (r *remote) Address() Address { return r.address }
func (r *remote) Self() PubKey     { return r.self }

func (r *remote) seed(l LedgerID, n Nonce) (Seed, error) {
	a, err := r.do(&keyRequest{use: useSeed, thread: thread{ledger: l}, nonce: n})
	if err != nil {
		return Seed{}, err
	}
	defer a.wipe()
	return Seed{newSecret32(a.secret[:])}, nil
}

func (r *remote) sign(digest Hash) (Signature, error) {
	a, err := r.do(&keyRequest{use: useSign, digest: digest})
	return a.sig, err
}

func (r *remote) recognize(t thread) (*OneTimeKeys, bool, error) {
	if t.author.IsZero() {
		return nil, false, ErrPubKey // as where the keys are
	}
	a, err := r.do(&keyRequest{use: useRecognize, thread: t})
	if errors.Is(err, errNotForKey) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer a.wipe()
	return &OneTimeKeys{Offsets: Offsets{Sig: t.counterparty, Seal: a.seal, loc: newSecret32(a.secret[:])}}, true, nil
}

func (r *remote) signAs(t thread, digest Hash) (Signature, error) {
	a, err := r.do(&keyRequest{use: useSignAs, thread: t, digest: digest})
	return a.sig, err
}

func (r *remote) unwrap(w wrapped) ([]byte, error) {
	q := &keyRequest{use: useRecord, stanza: w.stanza, body: w.body}
	if w.in != (SealContext{}) {
		q.use, q.part, q.signer, q.thread.ledger = useOpen, w.in.Part, w.in.Author, w.in.Ledger
	}
	if w.of != (thread{}) {
		q.use, q.thread = useOpenAs, w.of
	}
	a, err := r.do(q)
	if err != nil {
		return nil, err
	}
	defer a.wipe()
	return append([]byte{}, a.fileKey[:]...), nil
}

// Lost returns the first [ErrKeyLocked]: after it nothing is asked any more, and who met it
// and did not see it, since what does not open is passed over, can see it here.
func (r *remote) Lost() error {
	if err := r.lost.Load(); err != nil {
		return *err
	}
	return nil
}

// Wipe does nothing: these keys are not here.
func (r *remote) Wipe() {}
