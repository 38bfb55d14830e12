//go:build linux

package keyring

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/godbus/dbus/v5"
)

// silentPrompter takes the place of the desktop that shows the prompts of
// gnome-keyring, and shows none: nobody ever answers.
type silentPrompter struct{ begun chan struct{} }

func (p *silentPrompter) start(t *testing.T) {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	err = conn.ExportMethodTable(map[string]any{
		"BeginPrompting": func(sender dbus.Sender, callback dbus.ObjectPath) *dbus.Error {
			go conn.Object(string(sender), callback).Call("org.gnome.keyring.internal.Prompter.Callback.PromptReady", 0, "", map[string]dbus.Variant{}, "")
			return nil
		},
		"PerformPrompt": func(dbus.ObjectPath, string, map[string]dbus.Variant, string) *dbus.Error {
			note(p.begun)
			return nil
		},
		"StopPrompting": func(dbus.ObjectPath) *dbus.Error { return nil },
	}, "/org/gnome/keyring/Prompter", "org.gnome.keyring.internal.Prompter")
	if err != nil {
		t.Fatal(err)
	}
	reply, err := conn.RequestName("org.gnome.keyring.SystemPrompter", dbus.NameFlagDoNotQueue)
	if err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
}

func note(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

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
	want(t, err, ErrItemNotFound)
	want(t, o.Delete(ctx, id), ErrItemNotFound)
	for range 2 {
		if err := o.Set(ctx, id, secretA); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Get(ctx, id); got != secretA || err != nil {
		t.Fatal(got, err)
	}
	want(t, o.Set(ctx, id, secretB), ErrItemExists)

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
		want(t, err, ErrItemChanged)
		want(t, o.Set(ctx, id, secretA), ErrItemExists)
	})

	if err := o.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	_, err = o.Get(ctx, id)
	want(t, err, ErrItemNotFound)

	t.Run("another collection", func(t *testing.T) {
		id := NewID()
		store := exec.Command("secret-tool", "store", "--collection=session", "--label=elsewhere", "service", Service, "username", id)
		store.Stdin = strings.NewReader(secretA)
		if out, err := store.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got, err := o.Get(ctx, id); got != secretA || err != nil {
			t.Error(got, err)
		}
		exec.Command("secret-tool", "clear", "service", Service, "username", id).Run()
	})

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
		t.Run("prompt nobody answers", func(t *testing.T) {
			p := &silentPrompter{begun: make(chan struct{}, 1)}
			p.start(t)
			o := &OS{Timeout: time.Minute, PromptTimeout: time.Second}
			if e := want(t, get(ctx, o), ErrPromptTimeout); fault.Get[time.Duration](e, "after") != time.Second {
				t.Errorf("%+v", e)
			}
			<-p.begun
		})
		t.Run("may not ask", func(t *testing.T) {
			want(t, get(ctx, &OS{NoPrompt: true}), ErrNotAsked)
		})
		t.Run("look", func(t *testing.T) {
			if seen, err := o.Look(ctx, id); err != nil || seen != (Sight{Locked: true, Found: true}) {
				t.Error(seen, err)
			}
		})
		t.Setenv("DISPLAY", "")
		t.Setenv("WAYLAND_DISPLAY", "")
		for name, err := range map[string]error{"get": get(ctx, o), "set": set(ctx, o), "delete": del(ctx, o)} {
			t.Run(name, func(t *testing.T) {
				want(t, err, ErrNoDesktop)
				if strings.Contains(fmt.Sprint(err), secretA) {
					t.Error(err)
				}
			})
		}
	})
}
