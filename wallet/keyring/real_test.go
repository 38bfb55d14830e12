//go:build linux

package keyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// silentPrompter takes the place of the desktop that shows the prompts of
// gnome-keyring, and shows none: nobody ever answers. gnome-keyring has ended with
// a prompt that was dismissed when it says so, or when it has left the bus: 42.1
// aborts (perform_next_unlock: assertion failed), and what is asked of it before
// it is gone is never answered.
type silentPrompter struct{ begun, ended chan struct{} }

func (p *silentPrompter) start(t *testing.T) {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, secretsName)); err != nil {
		t.Fatal(err)
	}
	reply, err := conn.RequestName("org.gnome.keyring.SystemPrompter", dbus.NameFlagDoNotQueue)
	if err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	// Message by message and not as exported methods, whose answers the library sends when
	// it likes: gnome-keyring waits for ever if told that the prompter is ready before it
	// has the answer to BeginPrompting.
	messages := make(chan *dbus.Message, 64)
	conn.Eavesdrop(messages)
	go func() {
		for m := range messages { // ends with the connection
			switch sender, _ := m.Headers[dbus.FieldSender].Value().(string); m.Headers[dbus.FieldMember].Value() {
			case "BeginPrompting":
				done(conn, m)
				conn.Object(sender, m.Body[0].(dbus.ObjectPath)).Go("org.gnome.keyring.internal.Prompter.Callback.PromptReady", dbus.FlagNoReplyExpected, nil, "", map[string]dbus.Variant{}, "")
			case "PerformPrompt":
				done(conn, m)
				note(p.begun)
			case "StopPrompting":
				done(conn, m)
				note(p.ended)
			case "NameOwnerChanged":
				if len(m.Body) == 3 && m.Body[0] == secretsName && m.Body[2] == "" {
					note(p.ended)
				}
			}
		}
	}()
}

// done answers a call that returns nothing.
func done(conn *dbus.Conn, m *dbus.Message) {
	conn.Send(&dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: m.Headers[dbus.FieldSender],
		dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()),
	}}, nil)
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
			p := &silentPrompter{begun: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
			p.start(t)
			ctx, cancel := context.WithCancel(ctx)
			go func() { <-p.begun; cancel() }() // what time does instead, os_test.go shows
			if err := get(ctx, &OS{Timeout: time.Minute, PromptTimeout: time.Minute}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			<-p.ended
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
