package main

import (
	"context"

	"github.com/carekey/carekey/wallet/keyring"
)

// examineKeyring looks where the key is, and then reads it, once: the wallet is
// opened with it later. A keyring that asks for its password does so here.
func (e *exam) examineKeyring(ctx context.Context) []finding {
	const check = "keyring"
	s := e.place.settings
	if s == nil {
		return nil
	}
	c := e.keys(e.place).custody(ctx)
	var out []finding
	if c.LeftCopy {
		out = append(out, advise("key copy", "key-left", "a copy of the key is also in "+keyringWords(otherKind(c.Kind))+", as an interrupted move leaves it",
			"carekey keyring move "+c.Kind))
	}
	if f := c.Problem; f != nil {
		return append([]finding{{check, false, broken, f.Code, f.Message, f.Hint, f.Exit}}, out...)
	}
	var err error
	if e.key, err = e.keys(e.place).read(ctx); err == nil {
		_, err = e.key.Get(ctx, s.Item)
	}
	if err != nil {
		return append([]finding{failed(check, err)}, out...)
	}
	e.keyOK = true
	detail := "the key of this wallet is in " + keyringWords(s.Keyring)
	if c.Locked && s.Keyring == keyring.KindOS {
		detail += ", which was locked and had to ask"
	}
	return append([]finding{good(check, detail)}, out...)
}
