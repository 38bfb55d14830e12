package crypto

import (
	"errors"
	"sync"
	"sync/atomic"

	"filippo.io/age"

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
