package main

import (
	"context"
)

// examineKeyring looks where the key is, and then reads it, once: the wallet is
// opened with it later. A keyring that asks for its password does so here.
func (e *exam) examineKeyring(ctx context.Context) {
	s := e.place.settings
	if s == nil {
		return
	}
	c := e.keys(e.place).custody(ctx)
	err := c.why
	if err == nil {
		e.key, err = e.keys(e.place).read(ctx)
	}
	if err == nil && !unlocked(e.key) {
		_, err = e.key.Get(ctx, s.Item)
	}
	if err != nil {
		e.key = nil
		e.failed("keyring", err)
	} else {
		where := "the key of this wallet is in " + keyringWords(s.Keyring)
		if c.UnlockedUntil != "" {
			where += ", and unlocked until " + clockTime(c.until, e.now())
		}
		e.good("keyring", where)
	}
	if c.Unusable != nil {
		e.advise("unlocked key", c.Unusable.Code, "your key may be unlocked, and that cannot be used: "+c.Unusable.Message, c.Unusable.Hint)
	}
	if c.LeftCopy {
		e.advise("key copy", "key-left", "a copy of the key is also in "+keyringWords(otherKind(c.Kind))+", as an interrupted move leaves it", "carekey keyring move "+c.Kind)
	}
}
