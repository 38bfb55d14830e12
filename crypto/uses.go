package crypto

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"errors"
	"hash"
	"sync"
	"sync/atomic"

	"filippo.io/age"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/fault"
)

// Keys are what a program does with a person's keys on one ledger: derive, sign and
// open. Either all keys are in this process, see [Root.Keys], or another process holds
// them and performs each use, see [AskKeys]: that one hands out what seals the wallet's
// own files, what finds its own entries on this ledger, and the seeds of the entries that
// it is asked about, and never the root, the keys of the address, those of a counterparty
// and the key that opens what is sealed to oneself.
//
// They are safe for concurrent use, except with Wipe.
type Keys struct {
	redacted
	ledger LedgerID
	tagger *Tagger
	uses
	here *ciphers
}

// ciphers are what is in this process of a person's keys on any ledger, wherever the other
// keys are.
type ciphers struct {
	local  *LocalKey
	tagsOn func(LedgerID) (key []byte, err error) // of the self-tags

	mu      sync.Mutex
	taggers []*Tagger
}

// tagger makes the one of a key, which is overwritten.
func (c *ciphers) tagger(key []byte) *Tagger {
	t := taggerOf(key)
	clear(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taggers = append(c.taggers, t)
	return t
}

func (c *ciphers) wipe() {
	c.local.Wipe()
	for _, t := range c.taggers {
		t.wipe()
	}
}

// uses are what is done where the keys are. The error of each is [ErrKeyLocked], or what
// its method of [Keys] returns.
type uses interface {
	Address() Address
	Self() PubKey
	seed(LedgerID, Nonce) (Seed, error)
	sign(Hash) (Signature, error)
	recognize(thread) (*OneTimeKeys, bool, error)
	signAs(thread, Hash) (Signature, error)
	unwrap(wrapped) (fileKey []byte, err error)
	Lost() error
	Wipe()
}

// thread says whose counterparty somebody is.
type thread struct {
	ledger               LedgerID
	author, counterparty PubKey
}

// wrapped is a file key in a stanza. No use opens any other: a stanza is bound to what it
// is for, and who unwraps makes that context himself.
type wrapped struct {
	in     SealContext // the zero value: the content of a record
	of     thread      // whose one-time key it is sealed to; the zero value: oneself
	stanza [hpkeEncSize]byte
	body   [fileKeyLen + hpkeTagSize]byte
}

func (w *wrapped) info(to PubKey) []byte {
	if w.in == (SealContext{}) {
		return info(TagRecord)
	}
	return w.in.info(to)
}

// ErrKeyLocked: the process that held the keys did not perform a use, since it has ended
// or its time was over; the cause may say more.
const ErrKeyLocked fault.Code = "key-locked"

// Keys returns the keys of the root on a ledger. Wipe overwrites the root too.
func (r Root) Keys(l LedgerID) *Keys {
	self := r.SelfKey()
	var made atomic.Pointer[Identity] // when it is first needed: most commands only look
	here := &ciphers{local: r.LocalKey(), tagsOn: func(l LedgerID) ([]byte, error) { return r.tagKey(l), nil }}
	return &Keys{ledger: l, tagger: here.tagger(r.tagKey(l)), here: here, uses: &kept{
		seedOf: r.Seed,
		identity: sync.OnceValue(func() *Identity {
			made.Store(r.Identity())
			return made.Load()
		}),
		self: func() *PrivateKey { return self },
		wiped: func() {
			r.Wipe()
			self.Wipe()
			if id := made.Load(); id != nil {
				id.Wipe()
			}
		},
	}}
}

// On returns the same keys on another ledger; Wipe of either overwrites both. Who holds
// them is asked, if that is another process: it hands out what belongs to one ledger. The
// error is an [ErrKeyLocked].
func (k *Keys) On(l LedgerID) (*Keys, error) {
	key, err := k.here.tagsOn(l)
	if err != nil {
		return nil, err
	}
	return &Keys{ledger: l, tagger: k.here.tagger(key), here: k.here, uses: k.uses}, nil
}

// Wipe overwrites what of the keys is in this process; they cannot be used afterwards.
func (k *Keys) Wipe() {
	k.uses.Wipe()
	k.here.wipe()
}

// LocalKey is the key that seals the wallet's own files.
func (k *Keys) LocalKey() *LocalKey { return k.here.local }

// Tagger makes and opens self-tags.
func (k *Keys) Tagger() *Tagger { return k.tagger }

// Seed derives the seed of the entry with that nonce.
func (k *Keys) Seed(n Nonce) (Seed, error) { return k.seed(k.ledger, n) }

// Sign signs with the key S of the address.
func (k *Keys) Sign(digest Hash) (Signature, error) { return k.sign(digest) }

// Recognize reports whether the counterparty of a thread with author key a is a one-time
// key of this person. The error is [ErrPubKey] when a is not a public key.
func (k *Keys) Recognize(a, counterparty PubKey) (*Counterparty, bool, error) {
	t := thread{k.ledger, a, counterparty}
	keys, mine, err := k.recognize(t)
	if err != nil || !mine {
		return nil, false, err
	}
	return &Counterparty{keys.Offsets, keys, t, k.uses}, true, nil
}

// Open opens a payload sealed to oneself, see [OpenPayload].
func (k *Keys) Open(ctx SealContext, sealed []byte) ([]byte, error) {
	return openPayload(sealed, k.opener(wrapped{in: ctx}))
}

// RecordIdentity opens what was encrypted to [RecordRecipient] of oneself.
func (k *Keys) RecordIdentity() age.Identity {
	return &stanzaIdentity{open: k.opener(wrapped{})}
}

// opener unwraps stanzas of one context.
func (k *Keys) opener(w wrapped) func(enc, body []byte) ([]byte, error) { return unwrapper(k.uses, w) }

func unwrapper(u uses, w wrapped) func(enc, body []byte) ([]byte, error) {
	return func(enc, body []byte) ([]byte, error) {
		w := w
		copy(w.stanza[:], enc)
		copy(w.body[:], body)
		return u.unwrap(w)
	}
}

// Counterparty is this person as the other side of one thread.
type Counterparty struct {
	Offsets
	keys *OneTimeKeys
	of   thread
	uses uses
}

// Sign signs with p_sig.
func (c *Counterparty) Sign(digest Hash) (Signature, error) {
	if c.keys.sign != nil {
		return c.keys.Sign(digest), nil
	}
	return c.uses.signAs(c.of, digest)
}

// Open opens a payload sealed to P_seal, see [OpenPayload].
func (c *Counterparty) Open(ctx SealContext, sealed []byte) ([]byte, error) {
	if c.keys.seal != nil {
		return c.keys.Open(ctx, sealed)
	}
	return openPayload(sealed, unwrapper(c.uses, wrapped{in: ctx, of: c.of}))
}

// kept are keys in this process.
type kept struct {
	redacted
	seedOf   func(LedgerID, Nonce) Seed
	identity func() *Identity
	self     func() *PrivateKey
	done     func(wipe func()) // with a key that identity or self made; nil keeps it
	wiped    func()
}

func (k *kept) Address() Address {
	id := k.identity()
	defer k.after(id.Wipe)
	return id.Address()
}

func (k *kept) Self() PubKey {
	self := k.self()
	defer k.after(self.Wipe)
	return self.Public()
}

func (k *kept) after(wipe func()) {
	if k.done != nil {
		k.done(wipe)
	}
}

func (k *kept) seed(l LedgerID, n Nonce) (Seed, error) { return k.seedOf(l, n), nil }

func (k *kept) sign(digest Hash) (Signature, error) {
	id := k.identity()
	defer k.after(id.Wipe)
	return id.Sign(digest), nil
}

func (k *kept) recognize(t thread) (*OneTimeKeys, bool, error) {
	id := k.identity()
	defer k.after(id.Wipe)
	return id.Recognize(t.ledger, t.author, t.counterparty)
}

// asCounterparty runs f with the one-time keys of a thread.
func (k *kept) asCounterparty(t thread, f func(*OneTimeKeys)) error {
	keys, mine, err := k.recognize(t)
	if err == nil && !mine {
		err = errNotForKey
	}
	if err != nil {
		return err
	}
	defer keys.wipe()
	f(keys)
	return nil
}

func (k *kept) signAs(t thread, digest Hash) (sig Signature, err error) {
	err = k.asCounterparty(t, func(keys *OneTimeKeys) { sig = keys.Sign(digest) })
	return sig, err
}

func (k *kept) unwrap(w wrapped) (fileKey []byte, err error) {
	open := func(key *PrivateKey) { fileKey, err = hpkeOpen(key, w.info(key.Public()), w.stanza[:], w.body[:]) }
	if w.of == (thread{}) {
		self := k.self()
		defer k.after(self.Wipe)
		open(self)
	} else if failed := k.asCounterparty(w.of, func(keys *OneTimeKeys) { open(keys.seal) }); failed != nil {
		err = failed
	}
	return fileKey, err
}

// Lost returns nil: they are here.
func (k *kept) Lost() error { return nil }

// Wipe overwrites the keys in this process; they cannot be used afterwards.
func (k *kept) Wipe() { k.wiped() }

// errNotForKey is returned by who unwraps for what does not open. It tells nothing more.
var errNotForKey = errors.New("not for this key")

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
