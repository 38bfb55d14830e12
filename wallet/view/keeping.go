package view

import (
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
)

// Keeping is what concerns the keepers of a grant of one's own, and is not in their answers:
// it is noted only of a grant with several.
type Keeping struct {
	// Unheld are those that have not acknowledged their share, as in Thread. What is lost of
	// it with the cache is found out by asking all of them.
	Unheld uint16
	// Terms is the hash of the payload with the terms, from which the package is made that a
	// share comes with; zero if Unheld is 0.
	Terms crypto.Hash
	// Revoked is when a head with the grant's revocation was seen first, which enough nodes had
	// signed at a time of theirs, to a second; zero if none was. Lost with the cache it becomes
	// a later one.
	Revoked time.Time
}

// keeping is a Keeping of a thread.
type keeping struct {
	thread  uint32
	unheld  uint16
	terms   crypto.Hash
	revoked uint64 // Unix time; 0: none
}

func (f *keeping) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	codec.Int(c, &f.unheld)
	c.Bytes(f.terms[:])
	codec.Int(c, &f.revoked)
}

func (f *keeping) take(v *View, at place) bool {
	t := v.threads.detailed(f.thread)
	if t == nil || !t.Given() {
		return false
	}
	t.keeping, t.Unheld = at, f.unheld
	return true
}

// Keeping reads what NoteKeeping kept last; zero if nothing was, or it cannot be read.
func (v *View) Keeping(t *Thread) (k Keeping) {
	if t.details == nil || t.keeping == 0 {
		return k
	}
	f, err := lookUp[*keeping](v, t.keeping)
	if err != nil {
		return k
	}
	k.Unheld, k.Terms = f.unheld, f.terms
	if f.revoked != 0 {
		k.Revoked = time.Unix(int64(f.revoked), 0).UTC()
	}
	return k
}

// NoteKeeping keeps what concerns the keepers of a grant.
func (v *View) NoteKeeping(t *Thread, k Keeping) {
	f := keeping{thread: t.number, unheld: k.Unheld, terms: k.Terms}
	if !k.Revoked.IsZero() {
		f.revoked = uint64(k.Revoked.Unix())
	}
	v.note(kindKeeping, &f)
}
