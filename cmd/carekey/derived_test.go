package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
)

// What follows from the log of a large ledger is kept with the wallet that opens it, where
// it is no stranger.
func TestDerivedIsKeptWithTheWallet(t *testing.T) {
	at := filepath.Join(t.TempDir(), "ledger")
	f, err := folder.Create(at, "Town", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	key := crypto.GenerateKey()
	entries := make([]contract.Entry, 200)
	for i := range entries {
		e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: key.Public()}
		e.Commitment[0], e.SelfTag[0] = 1, byte(i)
		if err := e.Sign(f.ID(), key); err != nil {
			t.Fatal(err)
		}
		entries[i] = e
	}
	out, err := f.Append(context.Background(), entries)
	if err != nil || out[199].Index != 200 {
		t.Fatal(out[199], err)
	}
	home := t.TempDir()
	for range 2 {
		l, err := opener{place: place{dir: home}, now: time.Now}.open(context.Background(), locator{dir: at})
		if err != nil {
			t.Fatal(err)
		}
		l.close()
		if names, err := filepath.Glob(filepath.Join(home, wallet.DerivedDir, "*.log")); len(names) != 1 || err != nil {
			t.Errorf("kept are %v: %v", names, err)
		}
	}
	if strange, damaged, err := wallet.Strangers(home); len(strange)+len(damaged) > 0 || err != nil {
		t.Error(strange, damaged, err)
	}
}
