package keyring

import (
	"context"

	"github.com/carekey/carekey/crypto/crash"
)

// Ahead begins to read the secret kept under id at once, so that a caller can do
// other things meanwhile, and returns a Store whose Get of that id waits for this
// one reading however often it is called: one unlock, one question. Everything
// else goes to s. Not for a Store that asks on a terminal while the caller may
// use it too.
//
// The secret is kept for as long as the Store is.
func Ahead(ctx context.Context, s Store, id string) Store {
	a := &ahead{Store: s, id: id, done: make(chan struct{})}
	go func() {
		defer crash.Report()
		defer close(a.done)
		a.secret, a.err = s.Get(ctx, id)
	}()
	return a
}

type ahead struct {
	Store
	id     string
	done   chan struct{} // closed once secret and err are set
	secret string
	err    error
}

func (a *ahead) Get(ctx context.Context, id string) (string, error) {
	if id != a.id {
		return a.Store.Get(ctx, id)
	}
	select {
	case <-a.done:
		return a.secret, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
