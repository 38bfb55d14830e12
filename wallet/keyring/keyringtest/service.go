//go:build linux

// Package keyringtest is a Secret Service for tests, on a bus of its own, that can
// be told to misbehave in each way that real ones do. It needs the program
// dbus-daemon.
//
//	service, err := keyringtest.Start()
//	defer service.Stop()
//	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+service.Address)
//	service.Behave(keyringtest.Manners{Locked: true, Prompt: keyringtest.Dismissed})
package keyringtest

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"
)

// Manners are ways to misbehave. The zero value does not.
type Manners struct {
	Mute      bool   // never answers a call
	Locked    bool   // until a prompt was answered; with NoPrompt for good
	Prompt    Prompt // what becomes of prompts
	Asks      bool   // wants a person to agree to each change
	Forgets   bool   // stores nothing, and says that it did
	Refuses   bool   // hands no secret out: locked
	Vanishes  bool   // finds an item that is gone when it is asked for
	Value     string // handed out instead of what was stored
	Rude      bool   // answers have the wrong type
	Talkative bool   // repeats the secret in its error
	Old       bool   // cannot search all its collections at once
}

// Prompt is what becomes of a prompt.
type Prompt string

const (
	NoPrompt  Prompt = ""           // none is put up
	Answered  Prompt = "answered"   // with the right password
	Dismissed Prompt = "dismissed"  // closed by the person
	Ignored   Prompt = "ignored"    // nobody is there
	BreaksOff Prompt = "breaks off" // the bus ends while it is put up
	Breaks    Prompt = "breaks"     // the bus ends once it is up
	Leaves    Prompt = "leaves"     // the service ends while it is up
)

// Counts are how often the service was asked for something.
type Counts struct {
	Prompts int // that were put up
	Secrets int // handed out
}

// Service holds items. Its methods may be called while programs use it.
type Service struct {
	// Address of the bus, for DBUS_SESSION_BUS_ADDRESS.
	Address string

	conn    *dbus.Conn
	killBus func()
	folder  string
	end     chan struct{} // closed to let mute calls end

	mu      sync.Mutex
	manners Manners
	open    bool // a prompt unlocked it
	items   map[string]string
	counts  Counts
}

const (
	service     = dbus.ObjectPath("/org/freedesktop/secrets")
	login       = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	prompt      = dbus.ObjectPath("/org/freedesktop/secrets/prompt/1")
	session     = dbus.ObjectPath("/org/freedesktop/secrets/session/1")
	none        = dbus.ObjectPath("/")
	secretsName = "org.freedesktop.secrets"
	completed   = "org.freedesktop.Secret.Prompt.Completed"
)

// secret is the Secret of the specification.
type secret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

// plainPath are the characters that an address of a bus takes as they are.
const plainPath = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/."

// Bus starts a bus on which no service can be started and none is.
func Bus() (*Service, error) {
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		return nil, err
	}
	// A socket's path must be short, so this is not below a test's folder.
	parent := os.TempDir()
	if len(parent) > 60 || strings.Trim(parent, plainPath) != "" {
		parent = "/tmp"
	}
	folder, err := os.MkdirTemp(parent, "bus")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "config")
	if err := os.WriteFile(config, []byte(`<busconfig><type>session</type>
<listen>unix:path=`+folder+`/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "--config-file="+config, "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Service{folder: folder, end: make(chan struct{}), items: map[string]string{}}
	s.killBus = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		s.Address = strings.TrimSpace(line)
		s.conn, err = dbus.Connect(s.Address)
	}
	if err != nil {
		s.killBus()
		os.RemoveAll(folder)
		return nil, err
	}
	return s, nil
}

// Start starts a bus and a service on it.
func Start() (*Service, error) {
	s, err := Bus()
	if err != nil {
		return nil, err
	}
	if err := s.Serve(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends the service and its bus.
func (s *Service) Stop() {
	close(s.end)
	s.conn.Close()
	s.killBus()
	os.RemoveAll(s.folder)
}

// Socket is the bus's socket.
func (s *Service) Socket() string { return filepath.Join(s.folder, "bus") }

// Behave sets the manners from now on, and counts from then. What is locked then is
// locked again.
func (s *Service) Behave(m Manners) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manners, s.open, s.counts = m, false, Counts{}
}

// Put stores an item behind everybody's back.
func (s *Service) Put(id, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[id] = value
}

// Forget removes every item behind everybody's back.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.items)
}

// Items returns what is stored, by id.
func (s *Service) Items() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.items)
}

// Counts returns what was asked for since Behave was last called.
func (s *Service) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Serve puts the service on its bus.
func (s *Service) Serve() error {
	for _, e := range []struct {
		methods map[string]any
		path    dbus.ObjectPath
		name    string
	}{
		{map[string]any{"OpenSession": s.openSession, "Unlock": s.unlock, "SearchItems": s.searchAll}, service, "org.freedesktop.Secret.Service"},
		{map[string]any{"Get": s.property(func() any { return []dbus.ObjectPath{login} })}, service, "org.freedesktop.DBus.Properties"},
		{map[string]any{"CreateItem": s.createItem, "SearchItems": s.searchItems}, login, "org.freedesktop.Secret.Collection"},
		{map[string]any{"Get": s.property(func() any { return s.locked() })}, login, "org.freedesktop.DBus.Properties"},
		{map[string]any{"Prompt": s.prompt, "Dismiss": s.dismiss}, prompt, "org.freedesktop.Secret.Prompt"},
		{map[string]any{"Close": func() *dbus.Error { return nil }}, session, "org.freedesktop.Secret.Session"},
	} {
		if err := s.conn.ExportMethodTable(e.methods, e.path, e.name); err != nil {
			return err
		}
	}
	// Items come and go, so their methods are for all that lies below.
	if err := s.conn.ExportSubtreeMethodTable(map[string]any{"GetSecret": s.getSecret, "Delete": s.remove}, login, "org.freedesktop.Secret.Item"); err != nil {
		return err
	}
	reply, err := s.conn.RequestName(secretsName, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = fmt.Errorf("%s has an owner already", secretsName)
	}
	return err
}

// enter begins a call, which has the service to itself until it leaves. One to a mute
// service begins never.
func (s *Service) enter() (leave func()) {
	s.mu.Lock()
	if s.manners.Mute {
		s.mu.Unlock()
		<-s.end
		s.mu.Lock()
	}
	return s.mu.Unlock
}

func (s *Service) locked() bool { return s.manners.Locked && !s.open }

func itemPath(id string) dbus.ObjectPath { return login + "/" + dbus.ObjectPath(id) }

// itemOf is the id of the item that is called.
func itemOf(msg dbus.Message) string {
	path, _ := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	return strings.TrimPrefix(string(path), string(login)+"/")
}

func (s *Service) openSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	defer s.enter()()
	return dbus.MakeVariant(""), session, nil
}

func (s *Service) unlock(objects []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	defer s.enter()()
	switch {
	case !s.locked():
		return objects, none, nil
	case s.manners.Prompt == NoPrompt:
		return nil, none, nil
	}
	return nil, prompt, nil
}

// property is the Get of an object with one property.
func (s *Service) property(value func() any) any {
	return func(string, string) (dbus.Variant, *dbus.Error) {
		defer s.enter()()
		if s.manners.Rude {
			return dbus.MakeVariant("no"), nil
		}
		return dbus.MakeVariant(value()), nil
	}
}

func (s *Service) createItem(properties map[string]dbus.Variant, value secret, _ bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	defer s.enter()()
	switch {
	case s.manners.Talkative:
		return none, none, dbus.NewError("org.example.Error", []any{"cannot store " + string(value.Value)})
	case s.locked():
		return none, none, dbus.NewError("org.freedesktop.Secret.Error.IsLocked", nil)
	case s.manners.Asks:
		return none, prompt, nil
	}
	attributes, _ := properties["org.freedesktop.Secret.Item.Attributes"].Value().(map[string]string)
	id := attributes["username"]
	if !s.manners.Forgets {
		s.items[id] = string(value.Value)
	}
	return itemPath(id), none, nil
}

func (s *Service) find(attributes map[string]string) []dbus.ObjectPath {
	id := attributes["username"]
	if _, ok := s.items[id]; !ok {
		return nil
	}
	return []dbus.ObjectPath{itemPath(id)}
}

func (s *Service) searchItems(attributes map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	defer s.enter()()
	return s.find(attributes), nil
}

func (s *Service) searchAll(attributes map[string]string) (unlocked, locked []dbus.ObjectPath, _ *dbus.Error) {
	defer s.enter()()
	switch {
	case s.manners.Old:
		return nil, nil, dbus.NewError("org.freedesktop.DBus.Error.UnknownMethod", nil)
	case s.locked():
		return nil, s.find(attributes), nil
	}
	return s.find(attributes), nil, nil
}

func (s *Service) getSecret(msg dbus.Message, _ dbus.ObjectPath) (secret, *dbus.Error) {
	defer s.enter()()
	value, ok := s.items[itemOf(msg)]
	switch {
	case s.manners.Refuses, s.locked():
		return secret{}, dbus.NewError("org.freedesktop.Secret.Error.IsLocked", nil)
	case s.manners.Vanishes, !ok:
		return secret{}, dbus.NewError("org.freedesktop.Secret.Error.NoSuchObject", nil)
	}
	s.counts.Secrets++
	return secret{session, []byte{}, []byte(cmp.Or(s.manners.Value, value)), "text/plain; charset=utf8"}, nil
}

func (s *Service) remove(msg dbus.Message) (dbus.ObjectPath, *dbus.Error) {
	defer s.enter()()
	if s.manners.Asks {
		return prompt, nil
	}
	if !s.manners.Forgets {
		delete(s.items, itemOf(msg))
	}
	return none, nil
}

func (s *Service) prompt(string) *dbus.Error {
	leave := s.enter()
	s.counts.Prompts++
	becomes := s.manners.Prompt
	s.open = s.open || becomes == Answered
	leave()
	switch becomes {
	case Answered:
		s.conn.Emit(prompt, completed, false, dbus.MakeVariant([]dbus.ObjectPath{login}))
	case Dismissed:
		return s.dismiss()
	case BreaksOff:
		go s.killBus()
		<-s.end
	case Breaks:
		go s.killBus()
	case Leaves:
		go s.conn.Close()
	}
	return nil
}

func (s *Service) dismiss() *dbus.Error {
	s.conn.Emit(prompt, completed, true, dbus.MakeVariant([]dbus.ObjectPath{}))
	return nil
}
