//go:build linux

package keyring

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// TestRealKeyring runs against the keyring of this session and leaves nothing in
// it. It is not for a person's own keyring: .ci/with-keyring starts one for it.
func TestRealKeyring(t *testing.T) {
	if os.Getenv("CAREKEY_REAL_KEYRING") != "1" {
		t.Skip("CAREKEY_REAL_KEYRING is not 1: run under .ci/with-keyring")
	}
	ctx := t.Context()
	o := &OS{}
	id := NewID()
	_, err := o.Get(ctx, id)
	want[*ItemNotFoundError](t, err)
	want[*ItemNotFoundError](t, o.Delete(ctx, id))
	for range 2 {
		if err := o.Set(ctx, id, secretA); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Get(ctx, id); got != secretA || err != nil {
		t.Fatal(got, err)
	}
	want[*ItemExistsError](t, o.Set(ctx, id, secretB))

	t.Run("another program", func(t *testing.T) {
		tool, err := exec.LookPath("secret-tool")
		if err != nil {
			t.Fatal("secret-tool is not installed")
		}
		out, err := exec.Command(tool, "lookup", "service", Service, "username", id).Output()
		if string(out) != secretA || err != nil {
			t.Errorf("it reads %q, %v", out, err)
		}
		store := exec.Command(tool, "store", "--label=changed", "service", Service, "username", id)
		store.Stdin = strings.NewReader("changed")
		if out, err := store.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		_, err = o.Get(ctx, id)
		want[*ItemChangedError](t, err)
		want[*ItemExistsError](t, o.Set(ctx, id, secretA))
	})

	if err := o.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	_, err = o.Get(ctx, id)
	want[*ItemNotFoundError](t, err)

	t.Run("several at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				id, secret := NewID(), secretOf(byte('a'+i))
				for range 5 {
					if err := o.Set(ctx, id, secret); err != nil {
						t.Error(err)
					}
					if got, err := o.Get(ctx, id); got != secret || err != nil {
						t.Error(got, err)
					}
					if err := o.Delete(ctx, id); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})

	t.Run("locked", func(t *testing.T) {
		const collection = "/org/freedesktop/secrets/collection/login"
		if err := o.Set(ctx, id, secretA); err != nil {
			t.Fatal(err)
		}
		lock := exec.Command("dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets",
			"org.freedesktop.Secret.Service.Lock", "array:objpath:"+collection)
		if out, err := lock.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for name, err := range map[string]error{"get": get(ctx, o), "set": set(ctx, o), "delete": del(ctx, o)} {
			t.Run(name, func(t *testing.T) {
				want[*LockedError](t, err)
				if strings.Contains(fmt.Sprint(err), secretA) {
					t.Error(err)
				}
			})
		}
	})
}
