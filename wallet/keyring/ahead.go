package keyring

import (
	"context"
	"sync"

	"github.com/carekey/carekey/crypto/crash"
)

// Ahead begins to read the secret kept under id at once, so that a caller can do
// other things meanwhile, and returns a Store whose Get of that id waits for this
// one reading however often it is called: one unlock, one question. Everything
// else goes to s. Not for a Store that asks on a terminal while the caller may
// use it too.
//
// It ends with ctx. The secret is kept for as long as the Store is.
func Ahead(ctx context.Context, s Store, id string) Store {
	a := &ahead{s, id, sync.OnceValues(func() (string, error) { return s.Get(ctx, id) })}
	go func() {
		defer crash.Report()
		a.get()
	}()
	return a
}

type ahead struct {
	Store
	id  string
	get func() (secret string, err error)
}

func (a *ahead) Get(ctx context.Context, id string) (string, error) {
	if id != a.id {
		return a.Store.Get(ctx, id)
	}
	return a.get()
}
