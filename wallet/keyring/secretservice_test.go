//go:build linux

package keyring

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"
)

// These tests run the real library against a Secret Service that misbehaves, on
// a bus of its own. Each operation runs in a process of its own (this test
// again), since the library keeps one connection for the life of a process.

const childVariable = "CAREKEY_TEST_KEYRING_OPERATION"

func TestMain(m *testing.M) {
	if op := os.Getenv(childVariable); op != "" {
		operate(op)
		return
	}
	os.Exit(m.Run())
}

// operate does one operation and prints the types of its error, outermost first.
func operate(op string) {
	o := &OS{}
	if strings.HasPrefix(op, "impatient ") {
		o.Timeout = time.Second / 2
	}
	ctx := context.Background()
	var err error
	switch strings.TrimPrefix(op, "impatient ") {
	case "set":
		err = set(ctx, o)
	case "get":
		err = get(ctx, o)
	case "delete":
		err = del(ctx, o)
	case "round trip":
		err = cmp.Or(set(ctx, o), get(ctx, o), del(ctx, o))
	}
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), secretA) {
		fmt.Print("SECRET IN ERROR ")
	}
	if e, ok := errors.AsType[*AbsentError](err); ok {
		fmt.Printf("%s: ", e.Reason)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Printf("%T ", e)
	}
	fmt.Println()
}

// child runs an operation with the environment changed as given.
func child(t *testing.T, op string, environment ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	// Under the race detector a process otherwise ends with a second's pause.
	cmd.Env = append(append(os.Environ(), environment...), childVariable+"="+op, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", op, err, out)
	}
	return strings.TrimSpace(string(out))
}

// privateBus starts a bus on which no service can be started, and returns its
// address, a connection to it, and how to kill it.
func privateBus(t *testing.T) (address string, conn *dbus.Conn, kill func()) {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" || os.Getenv("CAREKEY_REAL_KEYRING") != "" {
			t.Fatal("dbus-daemon is not installed")
		}
		t.Skip("dbus-daemon is not installed")
	}
	// Not t.TempDir: a socket's path must be short.
	folder, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	config := filepath.Join(folder, "config")
	if err := os.WriteFile(config, []byte(`<busconfig><type>session</type>
<listen>unix:path=`+folder+`/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config-file="+config, "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(line)
	conn, err = dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return address, conn, kill
}

const (
	login    = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	itemPath = dbus.ObjectPath("/org/freedesktop/secrets/collection/login/1")
	prompt   = dbus.ObjectPath("/org/freedesktop/secrets/prompt/1")
	session  = dbus.ObjectPath("/org/freedesktop/secrets/session/1")
	none     = dbus.ObjectPath("/")
)

// secretService holds at most one item. Each flag is one way to misbehave.
type secretService struct {
	conn *dbus.Conn
	kill func() // the bus

	stored bool
	value  string // handed out instead of what was stored

	mute      bool // never answers a call
	locked    bool // does not unlock
	refuse    bool // hands no secret out: locked
	vanished  bool // found, and gone when asked for
	prompts   bool // wants a person to agree to each change
	dismissed bool // the person dismisses the prompt; otherwise nobody answers
	breakOff  bool // the bus ends while the prompt is put up
	breakLate bool // the bus ends once the prompt is up
	leave     bool // the service ends while the prompt is up
	rude      bool // properties have the wrong type
	talkative bool // repeats the secret in its error

	end    chan struct{}
	secret []byte
}

func (s *secretService) start(t *testing.T) {
	s.end = make(chan struct{})
	t.Cleanup(func() { close(s.end) })
	export := func(methods map[string]any, path dbus.ObjectPath, name string) {
		t.Helper()
		if err := s.conn.ExportMethodTable(methods, path, name); err != nil {
			t.Fatal(err)
		}
	}
	service := dbus.ObjectPath("/org/freedesktop/secrets")
	export(map[string]any{"OpenSession": s.openSession, "Unlock": s.unlock}, service, "org.freedesktop.Secret.Service")
	export(map[string]any{"Get": s.property}, service, "org.freedesktop.DBus.Properties")
	export(map[string]any{"CreateItem": s.createItem, "SearchItems": s.searchItems}, login, "org.freedesktop.Secret.Collection")
	export(map[string]any{"GetSecret": s.getSecret, "Delete": s.delete}, itemPath, "org.freedesktop.Secret.Item")
	export(map[string]any{"Prompt": s.prompt}, prompt, "org.freedesktop.Secret.Prompt")
	export(map[string]any{"Close": func() *dbus.Error { return nil }}, session, "org.freedesktop.Secret.Session")
	if _, err := s.conn.RequestName("org.freedesktop.secrets", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
}

func (s *secretService) openSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	if s.mute {
		<-s.end
	}
	return dbus.MakeVariant(""), session, nil
}

func (s *secretService) unlock(objects []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	if s.mute {
		<-s.end
	}
	if s.locked {
		return nil, none, nil
	}
	return objects, none, nil
}

func (s *secretService) property(string, string) (dbus.Variant, *dbus.Error) {
	if s.rude {
		return dbus.MakeVariant("no"), nil
	}
	return dbus.MakeVariant([]dbus.ObjectPath{login}), nil
}

func (s *secretService) createItem(_ map[string]dbus.Variant, secret ss.Secret, _ bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	if s.talkative {
		return none, none, dbus.NewError("org.example.Error", []any{"cannot store " + string(secret.Value)})
	}
	if s.prompts {
		return none, prompt, nil
	}
	s.stored, s.secret = true, secret.Value
	return itemPath, none, nil
}

func (s *secretService) searchItems(map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	if !s.stored {
		return nil, nil
	}
	return []dbus.ObjectPath{itemPath}, nil
}

func (s *secretService) getSecret(dbus.ObjectPath) (ss.Secret, *dbus.Error) {
	switch {
	case s.refuse:
		return ss.Secret{}, dbus.NewError("org.freedesktop.Secret.Error.IsLocked", nil)
	case s.vanished:
		return ss.Secret{}, dbus.NewError("org.freedesktop.Secret.Error.NoSuchObject", nil)
	case s.value != "":
		return ss.NewSecret(session, s.value), nil
	}
	return ss.NewSecret(session, string(s.secret)), nil
}

func (s *secretService) delete() (dbus.ObjectPath, *dbus.Error) {
	if s.prompts {
		return prompt, nil
	}
	s.stored = false
	return none, nil
}

func (s *secretService) prompt(string) *dbus.Error {
	switch {
	case s.breakOff:
		go s.kill()
		<-s.end
	case s.breakLate:
		go s.kill()
	case s.leave:
		go s.conn.Close()
	case s.dismissed:
		s.conn.Emit(prompt, "org.freedesktop.Secret.Prompt.Completed", true, dbus.MakeVariant(""))
	}
	return nil
}

func TestSecretServiceMisbehaves(t *testing.T) {
	for _, c := range []struct {
		name, op string
		service  secretService
		want     string // the beginning of the error's types
	}{
		{"behaves", "round trip", secretService{}, ""},
		{"never answers", "impatient set", secretService{mute: true}, "*keyring.TimeoutError"},
		{"prompt nobody answers at set", "impatient set", secretService{prompts: true}, "*keyring.TimeoutError"},
		{"prompt nobody answers at delete", "impatient delete", secretService{prompts: true, stored: true, value: secretA}, "*keyring.TimeoutError"},
		{"service ends while its prompt is up", "impatient set", secretService{prompts: true, leave: true}, "*keyring.TimeoutError"},
		{"prompt dismissed at set", "set", secretService{prompts: true, dismissed: true}, "*keyring.NotStoredError *keyring.ItemNotFoundError"},
		{"prompt dismissed at delete", "delete", secretService{prompts: true, dismissed: true, stored: true, value: secretA}, "*keyring.NotDeletedError"},
		{"bus ends while a prompt is up", "set", secretService{prompts: true, breakOff: true}, "the keyring service broke off: *keyring.AbsentError"},
		{"bus ends later", "set", secretService{prompts: true, breakLate: true}, "the keyring service broke off: *keyring.AbsentError"},
		{"wrong type on the bus", "get", secretService{rude: true}, "the keyring service broke off: *keyring.AbsentError"},
		{"locked at set", "set", secretService{locked: true}, "*keyring.LockedError"},
		{"locked at get", "get", secretService{locked: true, stored: true, value: secretA}, "*keyring.LockedError"},
		{"locked item", "get", secretService{refuse: true, stored: true}, "*keyring.LockedError dbus.Error"},
		{"nothing there", "get", secretService{}, "*keyring.ItemNotFoundError"},
		{"vanishes", "get", secretService{vanished: true, stored: true}, "*keyring.ItemNotFoundError dbus.Error"},
		{"value changed", "get", secretService{stored: true, value: "hello"}, "*keyring.ItemChangedError"},
		{"value changed at set", "set", secretService{stored: true, value: "hello"}, "*keyring.ItemExistsError *keyring.ItemChangedError"},
		{"another secret is there", "set", secretService{stored: true, value: secretB}, "*keyring.ItemExistsError"},
		{"repeats the secret in its error", "set", secretService{talkative: true}, "*keyring.FailedError *errors.errorString"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, conn, kill := privateBus(t)
			s := c.service
			s.conn, s.kill = conn, kill
			s.start(t)
			got := child(t, c.op, busAddress+"="+address)
			if got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNoSecretService(t *testing.T) {
	address, conn, _ := privateBus(t)
	if got := child(t, "get", busAddress+"="+address); !strings.HasPrefix(got, "no keyring service: *keyring.AbsentError dbus.Error") {
		t.Errorf("a bus without a provider: %q", got)
	}

	// Without an address the bus is found in the runtime folder, by its socket.
	s := &secretService{conn: conn}
	s.start(t)
	socket := strings.TrimPrefix(strings.Split(address, ",")[0], "unix:path=")
	if got := child(t, "round trip", busAddress+"=", "XDG_RUNTIME_DIR="+filepath.Dir(socket)); got != "" {
		t.Errorf("a bus in the runtime folder: %q", got)
	}
}

// Without a bus none is started: the program that would start one is not run.
func TestNoBus(t *testing.T) {
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("there is a session bus at its usual place")
	}
	programs, mark := t.TempDir(), filepath.Join(t.TempDir(), "launched")
	script := "#!/bin/sh\n: > " + mark + "\n"
	if err := os.WriteFile(filepath.Join(programs, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	const noBus = "no session bus: *keyring.AbsentError"
	path := "PATH=" + programs
	for _, address := range []string{"", "autolaunch:"} {
		for _, folder := range []string{"", "relative", t.TempDir()} {
			if got := child(t, "get", path, busAddress+"="+address, "XDG_RUNTIME_DIR="+folder); got != noBus {
				t.Errorf("address %q, folder %q: %q", address, folder, got)
			}
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("dbus-launch was run")
	}
	gone := busAddress + "=unix:path=" + filepath.Join(programs, "gone")
	if got := child(t, "set", path, gone); !strings.HasPrefix(got, noBus+" *net.OpError") {
		t.Errorf("a socket that is gone: %q", got)
	}
}
