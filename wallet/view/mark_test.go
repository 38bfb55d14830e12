package view

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet/home"
)

// viewIn is a view of a new ledger, in the folder of a profile.
func viewIn(t *testing.T, dir string, root crypto.Root) *View {
	t.Helper()
	f, err := folder.Create(filepath.Join(t.TempDir(), "ledger"), "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	client, err := ledgerclient.Connect(context.Background(), f.Services(), crypto.LedgerID{})
	if err != nil {
		t.Fatal(err)
	}
	keys := root.Keys(client.ID())
	v := New(Options{Home: home.Folder{Dir: dir, Ledger: home.LedgerFolder(client.ID()), Key: keys.LocalKey()},
		Client: client, Keys: keys, Now: time.Now, Notes: new(struct{})})
	v.state.CacheID = newCacheID()
	if err := os.MkdirAll(filepath.Join(dir, v.Home.Ledger), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := v.Follow(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	return v
}

// Threat: somebody writes the mark, so that what he changed is taken for checked. It is
// sealed, and under the name of its ledger.
func TestMark(t *testing.T) {
	ctx := context.Background()
	dir, root := t.TempDir(), crypto.NewEntropy().Root()
	v, other := viewIn(t, dir, root), viewIn(t, dir, root)
	if m, err := v.Mark(); err != nil || m.Size != 0 || !m.Time().IsZero() {
		t.Fatalf("none: %+v %v", m, err)
	}
	c := Checked{At: 1_800_000_000, Size: v.Head().Size, Root: v.Head().Root}
	if err := v.SetMark(ctx, c, []byte("of the folder")); err != nil {
		t.Fatal(err)
	}
	if m, err := v.Mark(); err != nil || m.Checked != c || string(m.Folder) != "of the folder" || m.Ledger != v.Client.ID() {
		t.Fatalf("%+v %v", m, err)
	}
	// One of a history that the wallet does not follow is not kept.
	strange := c
	strange.Root[0] ^= 1
	if err := v.SetMark(ctx, strange, nil); err == nil {
		t.Error("a mark of another history was kept")
	}
	path, there := v.Home.Path(v.Home.In(home.MarkFile)), other.Home.Path(other.Home.In(home.MarkFile))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(name string, v *View, path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := v.Mark(); !errors.As(err, new(*home.DamagedError)) || m.Size != 0 || m.Folder != nil {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
	damaged("of another ledger", other, there, b)
	for n := 0; n < len(b); n += 7 {
		damaged("cut short", v, path, b[:n])
	}
	changed := append([]byte(nil), b...)
	changed[len(b)/2] ^= 1
	damaged("changed", v, path, changed)
	stranger := *v
	stranger.Home.Key = crypto.NewEntropy().Root().LocalKey()
	damaged("of another wallet", &stranger, path, b)
	// And the wallet's own is one again.
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := v.Mark(); err != nil || m.Checked != c {
		t.Errorf("%+v %v", m, err)
	}
}
