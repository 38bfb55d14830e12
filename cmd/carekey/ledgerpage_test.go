package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// shownPage is a place of links that shows a page.
type shownPage struct {
	ledgerclient.Links
	hash crypto.Hash
	err  error
}

func (p shownPage) LinkPage(context.Context) (crypto.Hash, error) { return p.hash, p.err }

// TestLinkPage: a page that opens links and was changed has another hash than the one that
// wallets know. Where no links are taken there is none.
func TestLinkPage(t *testing.T) {
	var known crypto.Hash
	if err := known.UnmarshalText([]byte(ledgerclient.KnownPage)); err != nil {
		t.Fatal(err)
	}
	changed, away := crypto.Hash(sha256.Sum256([]byte("changed"))), errors.New("out of reach")
	for _, c := range []struct {
		links ledgerclient.Links
		want  *pageJSON
		err   error
	}{
		{shownPage{hash: known}, &pageJSON{known, true}, nil},
		{shownPage{hash: changed}, &pageJSON{changed, false}, nil},
		{shownPage{err: ledgerclient.ErrNoLinks.With("reach", "x")}, nil, nil},
		{shownPage{err: away}, nil, away},
		{nil, nil, nil},
	} {
		got, err := linkPage(context.Background(), c.links)
		if err != c.err || (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%+v: %+v, %v", c.links, got, err)
		}
	}
}
