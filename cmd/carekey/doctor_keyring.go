package main

import "context"

// examineKeyring reads the wallet's key, once: the wallet is opened with it later.
func (a *app) examineKeyring(ctx context.Context, e *exam) []finding {
	s := e.place.settings
	if s == nil {
		return nil
	}
	var err error
	if e.key, err = a.readKey(ctx, e.place); err != nil {
		return []finding{failed("keyring", err)}
	}
	if _, err := e.key.Get(ctx, s.Item); err != nil {
		return []finding{failed("keyring", err)}
	}
	e.keyOK = true
	return []finding{good("keyring", "the key of this wallet is in "+keyringWords(s.Keyring))}
}
