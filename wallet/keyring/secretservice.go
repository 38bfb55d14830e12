//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keyring

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"
)

// busAddress is the variable that names the session bus.
const busAddress = "DBUS_SESSION_BUS_ADDRESS"

// reachable finds the session bus before the library looks for it. Left alone,
// the library would look in one place only and then run dbus-launch, which
// starts a stray bus that no keyring listens on and that outlives us. It names
// a bus that it finds in the environment, which is where the library looks
// first.
func reachable() error {
	if a := os.Getenv(busAddress); a != "" && a != "autolaunch:" {
		return nil
	}
	folders := []string{"/run/user/" + strconv.Itoa(os.Getuid())}
	if own := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(own) {
		folders = append([]string{own}, folders...)
	}
	for _, folder := range folders {
		socket := filepath.Join(folder, "bus")
		if fi, err := os.Stat(socket); err == nil && fi.Mode().Type() == os.ModeSocket {
			return os.Setenv(busAddress, "unix:path="+dbus.EscapeBusAddressValue(socket))
		}
	}
	return ErrNoBus
}

// unlockFailed begins the only error the library has for a keyring that stayed
// locked; it has no type and no value of its own.
const unlockFailed = "failed to unlock correct collection"

// classify gives an error of the Secret Service its type, nil if it has none.
func classify(err error) error {
	if e, ok := errors.AsType[dbus.Error](err); ok {
		switch name := e.Name; {
		case name == "org.freedesktop.Secret.Error.IsLocked":
			return ErrStayedLocked.Of(err)
		case name == "org.freedesktop.Secret.Error.NoSuchObject":
			// It was found and was gone when it was asked for.
			return ErrItemNotFound.Of(err, "kind", KindOS)
		case name == "org.freedesktop.DBus.Error.ServiceUnknown",
			name == "org.freedesktop.DBus.Error.NameHasNoOwner",
			strings.HasPrefix(name, "org.freedesktop.DBus.Error.Spawn."):
			return ErrNoProvider.Of(err)
		case name == "org.freedesktop.DBus.Error.NoReply",
			name == "org.freedesktop.DBus.Error.Disconnected":
			return ErrBrokeOff.Of(err)
		}
		return nil
	}
	e, network := errors.AsType[*net.OpError](err)
	switch {
	case network && e.Op == "dial", is[*exec.Error](err):
		return ErrNoBus.Of(err)
	case network, errors.Is(err, dbus.ErrClosed), errors.Is(err, io.EOF):
		return ErrBrokeOff.Of(err)
	}
	if strings.HasPrefix(err.Error(), unlockFailed) {
		return ErrStayedLocked.Of(err)
	}
	return nil
}

// What follows uses the connection and the names of go-keyring's own client of the
// Secret Service (https://specifications.freedesktop.org/secret-service), so that
// what it finds is what the library finds.

const (
	secretsName    = "org.freedesktop.secrets"
	secretsPath    = dbus.ObjectPath("/org/freedesktop/secrets")
	loginPath      = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	defaultPath    = dbus.ObjectPath("/org/freedesktop/secrets/aliases/default")
	noObject       = dbus.ObjectPath("/")
	serviceMethods = "org.freedesktop.Secret.Service."
	promptMethods  = "org.freedesktop.Secret.Prompt."
	completed      = promptMethods + "Completed"
	ownerChanged   = "org.freedesktop.DBus.NameOwnerChanged"
)

var _ service = system{}

func (system) unlock(ctx context.Context, id string, asking func() error) error {
	conn, err := ss.NewSecretService()
	if err != nil {
		return err
	}
	object, _, err := find(ctx, conn, id)
	if err != nil {
		return err
	}
	var unlocked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	err = conn.Object(secretsName, secretsPath).CallWithContext(ctx, serviceMethods+"Unlock", 0, []dbus.ObjectPath{object}).Store(&unlocked, &prompt)
	if err != nil || prompt == noObject {
		return err // what is still locked then, the library will be told
	}
	return answered(ctx, conn, prompt, asking)
}

func (system) read(ctx context.Context, id string) (string, bool) {
	conn, err := ss.NewSecretService()
	if err != nil {
		return "", false
	}
	object, seen, err := find(ctx, conn, id)
	if err != nil || !seen.Found || seen.Locked {
		return "", false
	}
	session, err := conn.OpenSession()
	if err != nil {
		return "", false
	}
	defer conn.Close(session)
	secret, err := conn.GetSecret(object, session.Path())
	if err != nil {
		return "", false
	}
	return string(secret.Value), true
}

// find returns the item, by what go-keyring files it under, if it is there, otherwise
// the collection in which the library will look for it. A service that cannot search all
// its collections at once is left to the library.
func find(ctx context.Context, conn *ss.SecretService, id string) (dbus.ObjectPath, Sight, error) {
	var unlocked, locked []dbus.ObjectPath
	err := conn.Object(secretsName, secretsPath).CallWithContext(ctx, serviceMethods+"SearchItems", 0, map[string]string{"service": Service, "username": id}).Store(&unlocked, &locked)
	switch {
	case ctx.Err() != nil:
		return "", Sight{}, ctx.Err()
	case err != nil && !is[dbus.Error](err):
		return "", Sight{}, err
	case len(locked) > 0:
		return locked[0], Sight{Locked: true, Found: true}, nil
	case len(unlocked) > 0:
		return unlocked[0], Sight{Found: true}, nil
	}
	path, err := collection(conn)
	return path, Sight{}, err
}

// collection is where the library keeps new items.
func collection(conn *ss.SecretService) (dbus.ObjectPath, error) {
	v, err := conn.Object(secretsName, secretsPath).GetProperty(serviceMethods + "Collections")
	if err != nil {
		return "", err
	}
	all, ok := v.Value().([]dbus.ObjectPath)
	if !ok {
		return "", ErrBrokeOff.Of(errors.New("the keyring's list of collections is none"))
	}
	if slices.Contains(all, loginPath) {
		return loginPath, nil
	}
	return defaultPath, nil
}

// answered puts a prompt up and waits until a person has answered it.
func answered(ctx context.Context, conn *ss.SecretService, prompt dbus.ObjectPath, asking func() error) error {
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchObjectPath(prompt), dbus.WithMatchInterface(strings.TrimSuffix(promptMethods, "."))},
		{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, secretsName)},
	} {
		if err := conn.AddMatchSignalContext(ctx, match...); err != nil {
			return err
		}
		defer conn.RemoveMatchSignal(match...)
	}
	signals := make(chan *dbus.Signal, 8)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)

	if err := asking(); err != nil {
		return err
	}
	if err := conn.Object(secretsName, prompt).CallWithContext(ctx, promptMethods+"Prompt", 0, "").Err; err != nil {
		return err
	}
	for {
		select {
		case signal, ok := <-signals:
			switch {
			case !ok:
				return ErrBrokeOff.Of(dbus.ErrClosed)
			case signal.Name == ownerChanged && len(signal.Body) == 3 && signal.Body[0] == secretsName && signal.Body[2] == "":
				return ErrBrokeOff.Of(errors.New("the keyring service ended while its prompt was up"))
			case signal.Name == completed && signal.Path == prompt && len(signal.Body) > 0:
				if signal.Body[0] != false {
					return dismissal()
				}
				return nil
			}
		case <-ctx.Done():
			conn.Object(secretsName, prompt).Go(promptMethods+"Dismiss", dbus.FlagNoReplyExpected, nil)
			return ctx.Err()
		}
	}
}

// dismissal tells a person who refused from a keyring that found no screen: both
// are reported as a prompt that was dismissed.
func dismissal() error {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return ErrNoDesktop
	}
	return ErrDismissed
}

func (system) look(ctx context.Context, id string) (Sight, error) {
	conn, err := ss.NewSecretService()
	if err != nil {
		return Sight{}, err
	}
	path, seen, err := find(ctx, conn, id)
	if err != nil || seen.Found {
		return seen, err
	}
	v, err := conn.Object(secretsName, path).GetProperty("org.freedesktop.Secret.Collection.Locked")
	if err != nil {
		return Sight{}, err
	}
	isLocked, ok := v.Value().(bool)
	if !ok {
		return Sight{}, ErrBrokeOff.Of(errors.New("the keyring does not say whether it is locked"))
	}
	return Sight{Locked: isLocked}, nil
}
