package view

import (
	"bytes"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// What keepers answered and recipients said is in the cache once it was verified, and is not
// verified again when it is read: it is sealed with the wallet's own key, under a name with
// its place, and who has that key could write any answer. An older cache and state, put back
// together, hold an older answer, which has its older hour. What is lost is asked for again.

// Filed is what a keeper filed about a grant of one's own.
type Filed struct {
	Keeper  crypto.PubKey
	Refused []ledgerclient.Refused // oldest first
	More    uint32                 // how many more were refused, and only counted
	Acks    []ledgerclient.Acknowledgement
}

// told is what all keepers filed about a grant, in their order, at an hour of the ledger.
type told struct {
	thread uint32
	hour   contract.Hour
	filed  []Filed
}

func (f *told) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	codec.Int(c, &f.hour)
	codec.Counted[uint8](c, &f.filed, 255, func(c *codec.Codec, k *Filed) {
		c.Bytes(k.Keeper[:])
		codec.Counted[uint32](c, &k.Refused, maxBlock, func(c *codec.Codec, r *ledgerclient.Refused) { c.Message(r.Fields) })
		codec.Int(c, &k.More)
		codec.Counted[uint8](c, &k.Acks, 255, func(c *codec.Codec, a *ledgerclient.Acknowledgement) { c.Message(a.Fields) })
	})
}

func (f *told) take(v *View, at place) bool {
	t := v.threads.detailed(f.thread)
	if t == nil {
		return false
	}
	t.told, t.asked = at, f.hour
	return true
}

// asked is that the keepers told the same at a later hour.
type asked struct {
	thread uint32
	hour   contract.Hour
}

func (f *asked) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	codec.Int(c, &f.hour)
}

func (f *asked) take(v *View, _ place) bool {
	t := v.threads.detailed(f.thread)
	if t == nil {
		return false
	}
	t.asked = f.hour
	return true
}

// Told reads what NoteTold kept last, at the hour Asked.
func (v *View) Told(t *Thread) ([]Filed, error) {
	f, err := lookUp[*told](v, t.told)
	if err != nil {
		return nil, err
	}
	return f.filed, nil
}

// NoteTold keeps what all keepers filed about a grant, in their order, which was verified:
// they were asked at that hour of the ledger. If it is what was kept before, the hour alone
// is, and with onlyNew nothing.
func (v *View) NoteTold(t *Thread, hour contract.Hour, filed []Filed, onlyNew bool) {
	form := func(of []Filed) []byte {
		f := told{filed: of}
		return codec.Append(nil, f.fields)
	}
	same := false
	if t.Asked() != 0 {
		before, err := v.Told(t)
		same = err == nil && bytes.Equal(form(before), form(filed))
	}
	switch {
	case !same:
		v.note(kindTold, &told{t.number, hour, filed})
	case !onlyNew && hour != t.Asked():
		v.note(kindAsked, &asked{t.number, hour})
	}
}

// Said is what a recipient said with an access: who looked, and why. Any is false if that is
// nothing that can be read.
type Said struct {
	By, Reason string
	Any        bool
}

// said is what came with an access, which its entry commits to.
type said struct {
	thread, follow uint32 // the follow-up from 0
	Said
}

func (f *said) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	codec.Int(c, &f.follow)
	codec.Bool(c, &f.Any)
	codec.Sized[uint16](c, &f.By, payload.MaxBy)
	codec.Sized[uint16](c, &f.Reason, payload.MaxReason)
}

func (f *said) take(v *View, at place) bool {
	t := v.threads.at(f.thread)
	if t == nil || int(f.follow) >= len(t.FollowUps()) {
		return false
	}
	t.follows[f.follow].said = at
	return true
}

// Said reads what NoteSaid kept; ok is false if nothing is kept, or it cannot be read.
func (v *View) Said(u *FollowUp) (s Said, ok bool) {
	if u.said == 0 {
		return Said{}, false
	}
	f, err := lookUp[*said](v, u.said)
	if err != nil {
		return Said{}, false
	}
	return f.Said, true
}

// NoteSaid keeps what was said with an access, a thread's follow-up counted from 0.
func (v *View) NoteSaid(t *Thread, follow int, s Said) {
	v.note(kindSaid, &said{t.number, uint32(follow), s})
}
