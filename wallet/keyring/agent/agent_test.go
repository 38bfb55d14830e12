//go:build linux || darwin

package agent

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// As [Name] the tests are an agent.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == Name {
		if Serve(context.Background(), meanwhile(os.Stdin), os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// meanwhile lets a key file be replaced while an agent begins, if there is another one
// beside it.
func meanwhile(in io.Reader) io.Reader {
	size := make([]byte, 2)
	io.ReadFull(in, size)
	told := make([]byte, int(size[0])<<8+int(size[1]))
	io.ReadFull(in, told)
	var h holding
	if codec.Parse(told, h.fields) == nil {
		os.Rename(h.keyFile+".meanwhile", h.keyFile)
	}
	return io.MultiReader(bytes.NewReader(append(size, told...)), in)
}

// newPlace is a place with a key file.
func newPlace(t testing.TB) Place {
	t.Helper()
	dir, err := os.MkdirTemp("", "a") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	p := Place{Runtime: filepath.Join(dir, "run"), Home: filepath.Join(dir, "home"), KeyFile: filepath.Join(dir, "key.age"), Item: "item", Patience: time.Hour}
	for _, err := range []error{os.Mkdir(p.Runtime, 0o700), os.Mkdir(p.Home, 0o700), os.WriteFile(p.KeyFile, []byte("sealed"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// listener listens where an agent of that place would.
func listener(t testing.TB, p Place) net.Listener {
	t.Helper()
	socket, err := p.socket(true)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// testClock is what an agent believes of the time.
type testClock struct {
	mu  sync.Mutex
	now instant
}

func (c *testClock) read() (instant, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, nil
}

func (c *testClock) pass(wall, boot, awake time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.wall, c.now.boot, c.now.awake = c.now.wall.Add(wall), c.now.boot+boot, c.now.awake+awake
}

// running is an agent in this process, for a quarter of an hour.
type running struct {
	*agent
	place Place
	clock *testClock
	root  crypto.Root
	stop  context.CancelFunc
	done  chan error // what serve returned
}

func begun(t testing.TB, p Place) *running {
	t.Helper()
	r := newAgentOf(t, p)
	if err := r.listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- r.serve(ctx) }()
	t.Cleanup(stop)
	return r
}

// newAgentOf is one that does not listen yet.
func newAgentOf(t testing.TB, p Place) *running {
	t.Helper()
	entropy := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{5}, 32))
	e, err := crypto.DecodeEntropy(entropy)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{place: p, clock: &testClock{now: instant{wall: time.Unix(1_800_000_000, 0), boot: 9 * time.Hour, awake: time.Hour}}, root: e.Root(), done: make(chan error, 1)}
	page, err := lockedPage(memory)
	if err != nil {
		t.Fatal(err)
	}
	var root bytes.Buffer
	if err := r.root.HandTo(&root); err != nil {
		t.Fatal(err)
	}
	copy(page, root.Bytes())
	socket, err := p.socket(true)
	if err != nil {
		t.Fatal(err)
	}
	wallet, err := p.wallet()
	if err != nil {
		t.Fatal(err)
	}
	r.agent, err = newAgent(holding{version: version, wallet: wallet, time: uint64(15 * time.Minute), wait: uint64(p.Patience), socket: socket, keyFile: p.KeyFile}, page, r.clock.read)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	return r
}

// ends waits until the agent has ended, and sees that nothing of the key is left.
func (r *running) ends(t *testing.T) {
	t.Helper()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !bytes.Equal(r.page, make([]byte, len(r.page))) {
		t.Error("its page is not empty")
	}
}

func dial(t *testing.T, p Place) *Client {
	t.Helper()
	c, err := Dial(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func seed(c *Client) error {
	k, err := c.Keys(crypto.LedgerID{1})
	if err == nil {
		_, err = k.Seed(crypto.Nonce{2})
	}
	return err
}

func wants(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	e, _ := fault.As(err, ErrNotUnlocked)
	if e == nil || e.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func TestAgentServes(t *testing.T) {
	p := newPlace(t)
	_, err := Dial(t.Context(), p)
	wants(t, "before there is one", err, ErrNotUnlocked)
	r := begun(t, p)
	c := dial(t, p)
	if want := r.clock.now.wall.Add(15 * time.Minute); !c.Until.Equal(want) {
		t.Errorf("until %v, want %v", c.Until, want)
	}
	k, err := c.Keys(crypto.LedgerID{1})
	if err != nil {
		t.Fatal(err)
	}
	if k.Address() != r.root.Identity().Address() {
		t.Error("another address")
	}
	var wg sync.WaitGroup
	for i := range 64 { // at once, over the client's few lines
		wg.Go(func() {
			digest := crypto.TaggedHash(crypto.TagTerms, []byte{byte(i)})
			if sig, err := k.Sign(digest); err != nil || !k.Address().Sign.Verify(digest, sig) {
				t.Error(i, err)
			}
		})
	}
	wg.Wait()
	i, err := os.Lstat(r.socket)
	if err != nil || i.Mode() != os.ModeSocket|0o600 {
		t.Error(i.Mode(), err)
	}
	if was, err := End(t.Context(), p); !was || err != nil {
		t.Error(was, err)
	}
	r.ends(t)
	if err := seed(c); !errors.Is(err, crypto.ErrKeyLocked) {
		t.Error("after its end:", err)
	}
	_, err = Dial(t.Context(), p)
	wants(t, "after its end", err, ErrNotUnlocked)
	if was, err := End(t.Context(), p); was || err != nil {
		t.Error("ended again:", was, err)
	}
	if left, err := os.ReadDir(filepath.Dir(r.socket)); err != nil || len(left) != 0 {
		t.Error("left:", left, err)
	}
}

// Threat: fifteen minutes become a weekend. The time is absolute, by both clocks, and it is
// looked at before each answer.
func TestAgentEnds(t *testing.T) {
	for name, how := range map[string]func(t *testing.T, r *running){
		"its time by the day's clock":         func(_ *testing.T, r *running) { r.clock.pass(15*time.Minute, 0, 0) },
		"its time by the clock of the boot":   func(_ *testing.T, r *running) { r.clock.pass(0, 15*time.Minute, 15*time.Minute) },
		"its time, the day's clock put back":  func(_ *testing.T, r *running) { r.clock.pass(-time.Hour, 15*time.Minute, 15*time.Minute) },
		"the machine slept for a little":      func(_ *testing.T, r *running) { r.clock.pass(time.Minute, time.Minute, time.Second) },
		"its socket is gone, as after logout": func(_ *testing.T, r *running) { os.Remove(r.socket) },
		"the folder of its socket is gone":    func(_ *testing.T, r *running) { os.RemoveAll(r.place.Runtime) },
		"another file in its socket's place": func(t *testing.T, r *running) {
			if err := errors.Join(os.Remove(r.socket), os.WriteFile(r.socket, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
		"the key file is gone, as after a move": func(_ *testing.T, r *running) { os.Remove(r.keyFile) },
		"another passphrase": func(t *testing.T, r *running) {
			fresh := r.keyFile + ".new"
			if err := errors.Join(os.WriteFile(fresh, []byte("sealed"), 0o600), os.Rename(fresh, r.keyFile)); err != nil {
				t.Fatal(err)
			}
		},
		"a signal": func(_ *testing.T, r *running) { r.stop(); <-r.ending },
	} {
		t.Run(name, func(t *testing.T) {
			r := begun(t, newPlace(t))
			c := dial(t, r.place)
			r.clock.pass(14*time.Minute, 14*time.Minute, 14*time.Minute-time.Second/2)
			if err := seed(c); err != nil {
				t.Fatal("before:", err)
			}
			how(t, r)
			if err := seed(c); !errors.Is(err, crypto.ErrKeyLocked) || !errors.Is(err, ErrNotUnlocked) {
				t.Error(err)
			}
			r.ends(t)
		})
	}
}

// Nobody has to ask for it to end.
func TestAgentEndsUnasked(t *testing.T) {
	r := begun(t, newPlace(t))
	r.clock.pass(15*time.Minute, 15*time.Minute, 15*time.Minute)
	r.ends(t)
}

// A second agent takes the place of the first: who was connected goes on with it, and the
// first one ends.
func TestAgentReplaced(t *testing.T) {
	first := begun(t, newPlace(t))
	c := dial(t, first.place)
	k, err := c.Keys(crypto.LedgerID{1})
	if err != nil {
		t.Fatal(err)
	}
	second := begun(t, first.place)
	if _, err := k.Seed(crypto.Nonce{1}); err != nil || k.Lost() != nil {
		t.Error(err, k.Lost())
	}
	first.ends(t)
	if _, err := os.Lstat(second.socket); err != nil {
		t.Error("the first one took the socket of the second along:", err)
	}
	if err := seed(dial(t, first.place)); err != nil {
		t.Error(err)
	}
}

// Threat: several that unlock a key file at once, as the shells of a terminal that is
// restored, take each other's socket, so that none is found or several hold the key. One
// after the other takes the place of the one before, and the last one stays.
func TestAgentsAtOnce(t *testing.T) {
	p := newPlace(t)
	all := make([]*running, 8)
	for i := range all {
		all[i] = newAgentOf(t, p)
	}
	var wg sync.WaitGroup
	for _, r := range all {
		wg.Go(func() {
			if err := r.listen(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	left := 0
	for _, r := range all {
		if !r.over() {
			left++
			go r.serve(t.Context())
		}
	}
	if left != 1 {
		t.Fatalf("%d hold the key", left)
	}
	if err := seed(dial(t, p)); err != nil {
		t.Error(err)
	}

	// One that is not alone in time leaves the other one its place.
	f, err := os.Open(p.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := disk.TryLock(f, true); !ok || err != nil {
		t.Fatal(ok, err)
	}
	hasty := p
	hasty.Patience = time.Millisecond
	wants(t, "while another one begins", newAgentOf(t, hasty).listen(), ErrStart)
	if err := seed(dial(t, p)); err != nil {
		t.Error(err)
	}
}

// Two key files have two agents, and neither answers for the other.
func TestAgentsOfTwo(t *testing.T) {
	one := newPlace(t)
	two := one
	two.Item, two.KeyFile = "other", one.KeyFile+"2"
	if err := os.WriteFile(two.KeyFile, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	begun(t, one)
	_, err := Dial(t.Context(), two)
	wants(t, "no agent of its own", err, ErrNotUnlocked)
	b := begun(t, two)
	if err := errors.Join(seed(dial(t, one)), seed(dial(t, two))); err != nil {
		t.Error(err)
	}
	if was, err := End(t.Context(), one); !was || err != nil {
		t.Error(was, err)
	}
	if err := seed(dial(t, two)); err != nil {
		t.Error("the other one ended too:", err)
	}
	// A copy of the key file elsewhere, as of a home that was copied, is not what was opened.
	copied := two
	copied.KeyFile += "3"
	if err := os.WriteFile(copied.KeyFile, []byte("another passphrase"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Dial(t.Context(), copied)
	wants(t, "another state of the file", err, ErrOther)
	if b.over() {
		t.Error("it has ended")
	}
}

// A full one says so, and is not harmed: what a client held that went away in the middle of
// anything is free again.
func TestAgentFull(t *testing.T) {
	r := begun(t, newPlace(t))
	wallet, err := r.place.wallet()
	if err != nil {
		t.Fatal(err)
	}
	o := opening{version, wallet}
	hello := codec.Append(nil, o.fields)
	connect := func(sent []byte) *net.UnixConn {
		t.Helper()
		c, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(sent) // one that is full may have hung up
		return c.(*net.UnixConn)
	}
	greeted := func(c net.Conn) uint8 {
		t.Helper()
		var g greeting
		b := make([]byte, greetingSize)
		if _, err := io.ReadFull(c, b); err != nil || codec.Parse(b, g.fields) != nil {
			t.Fatalf("%x, %v", b, err)
		}
		return g.state
	}
	c := dial(t, r.place) // has one line of its own, and wants more
	k, err := c.Keys(crypto.LedgerID{1})
	if err != nil {
		t.Fatal(err)
	}
	var held []*net.UnixConn
	for range clients - 1 {
		held = append(held, connect(hello))
		if s := greeted(held[len(held)-1]); s != welcome {
			t.Fatalf("state %d", s)
		}
	}
	if s := greeted(connect(nil)); s != full {
		t.Errorf("state %d", s)
	}
	_, _, err = r.place.dial(t.Context())
	wants(t, "one too many", err, ErrFull)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := k.Seed(crypto.Nonce{1}); err != nil {
				t.Error("a client that had a line:", err)
			}
		})
	}
	wg.Wait()
	// Killed within a request, within the opening, and before an answer is read.
	for i, sent := range [][]byte{{33, 2, 1}, {}, append([]byte{33, 1}, make([]byte, 32)...), {200}} {
		held[i].Write(sent)
	}
	for _, h := range held {
		h.Close()
	}
	for range clients - 1 { // each waits for a place: none is refused for ever
		for {
			c := connect(hello)
			if greeted(c) == welcome {
				break
			}
			c.Close()
		}
	}
}

// Threat: a program that goes on for days, such as a watch, holds what others need. Who has
// closed its connections leaves the place to them, and can still ask.
func TestClientClose(t *testing.T) {
	r := begun(t, newPlace(t))
	var held []*Client
	for range 2 * clients {
		c := dial(t, r.place)
		var wg sync.WaitGroup
		for range lines {
			wg.Go(func() {
				if err := seed(c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		c.Close()
		held = append(held, c) // or it might be hung up with the garbage
	}
	for _, c := range held {
		if err := seed(c); err != nil {
			t.Error("after Close:", err)
		}
		c.Close()
	}
}

// One that is full can be locked: it has answered.
func TestEndFull(t *testing.T) {
	r := begun(t, newPlace(t))
	for range clients {
		dial(t, r.place)
	}
	if was, err := End(t.Context(), r.place); !was || err != nil {
		t.Error(was, err)
	}
	r.ends(t)
}

// Who comes while others have all places gets one when it is free: a script of many commands
// at once is asked for no passphrase.
func TestAgentWaitedFor(t *testing.T) {
	p := newPlace(t)
	l := listener(t, p)
	go func() {
		for _, state := range []uint8{full, full, welcome} {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			io.ReadFull(c, make([]byte, openingSize))
			g := greeting{version, state, 1}
			c.Write(codec.Append(nil, g.fields))
		}
	}()
	if c := dial(t, p); c.Until.Unix() != 1 {
		t.Errorf("until %v", c.Until)
	}
}

// Nothing in the place of an agent is believed.
func TestNoAgent(t *testing.T) {
	// other puts somebody else there.
	other := func(t *testing.T, p Place, answer func(c net.Conn)) {
		t.Helper()
		l := listener(t, p)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				answer(c)
				c.Close()
			}
		}()
	}
	greets := func(g greeting) func(net.Conn) {
		return func(c net.Conn) {
			io.ReadFull(c, make([]byte, openingSize))
			c.Write(codec.Append(nil, g.fields))
		}
	}
	dir := func(t *testing.T, p Place) string {
		t.Helper()
		socket, err := p.socket(true)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(socket)
	}
	for name, c := range map[string]struct {
		set  func(t *testing.T, p *Place)
		want fault.Code
	}{
		"stale, as one that was killed leaves it": {func(t *testing.T, p *Place) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir(t, *p), "x"), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
			socket, _ := p.socket(false)
			if err := os.Rename(filepath.Join(dir(t, *p), "x"), socket); err != nil {
				t.Fatal(err)
			}
		}, ErrNotUnlocked},
		"another version":         {func(t *testing.T, p *Place) { other(t, *p, greets(greeting{version: version + 1})) }, ErrVersion},
		"a state of another kind": {func(t *testing.T, p *Place) { other(t, *p, greets(greeting{version: version, state: 9})) }, ErrSilent},
		"nonsense": {func(t *testing.T, p *Place) {
			other(t, *p, func(c net.Conn) { c.Write(bytes.Repeat([]byte("x"), 100)) })
		}, ErrSilent},
		"hangs up": {func(t *testing.T, p *Place) { other(t, *p, func(net.Conn) {}) }, ErrSilent},
		"a file": {func(t *testing.T, p *Place) {
			socket, _ := p.socket(true)
			if err := os.WriteFile(socket, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrPlace},
		"a link to another socket": {func(t *testing.T, p *Place) {
			r := begun(t, newPlace(t))
			socket, _ := p.socket(true)
			if err := os.Symlink(r.socket, socket); err != nil {
				t.Fatal(err)
			}
		}, ErrPlace},
		"a folder that others read": {func(t *testing.T, p *Place) {
			if err := os.Chmod(dir(t, *p), 0o750); err != nil {
				t.Fatal(err)
			}
		}, ErrPlace},
		"a link in the place of the folder": {func(t *testing.T, p *Place) {
			d := dir(t, *p)
			if err := errors.Join(os.Rename(d, d+"2"), os.Symlink(d+"2", d)); err != nil {
				t.Fatal(err)
			}
		}, ErrPlace},
		"a folder of another user": {func(t *testing.T, p *Place) {
			if os.Getuid() != 0 {
				t.Skip("only root can give a folder away")
			}
			if err := os.Chown(dir(t, *p), 12345, -1); err != nil {
				t.Fatal(err)
			}
		}, ErrPlace},
		"a socket of another user": {func(t *testing.T, p *Place) {
			if os.Getuid() != 0 {
				t.Skip("only root can give a socket away")
			}
			r := begun(t, *p)
			if err := os.Chown(r.socket, 12345, -1); err != nil {
				t.Fatal(err)
			}
		}, ErrForeign},
		"too long a path":       {func(t *testing.T, p *Place) { p.Runtime = longer(t, p.Runtime) }, ErrPlace},
		"not a whole path":      {func(t *testing.T, p *Place) { p.Runtime = "." }, ErrPlace},
		"no runtime folder":     {func(t *testing.T, p *Place) { p.Runtime += "/gone" }, ErrNotUnlocked},
		"no key file":           {func(t *testing.T, p *Place) { begun(t, *p); p.KeyFile += "x" }, ErrNotUnlocked},
		"none, in the home too": {func(t *testing.T, p *Place) { p.Runtime = "" }, ErrNotUnlocked},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			c.set(t, &p)
			_, err := Dial(t.Context(), p)
			wants(t, "dial", err, c.want)
		})
	}
}

// longer is a folder whose path no socket can have.
func longer(t *testing.T, dir string) string {
	t.Helper()
	dir = filepath.Join(dir, strings.Repeat("x", 100))
	if err := os.MkdirAll(filepath.Join(dir, "carekey"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Without a runtime folder it is in the home, and in no folder for temporary files.
func TestAgentInTheHome(t *testing.T) {
	p := newPlace(t)
	p.Runtime = ""
	r := begun(t, p)
	if want := filepath.Join(p.Home, "agent"); filepath.Dir(r.socket) != want {
		t.Errorf("in %s, want %s", r.socket, want)
	}
	if err := seed(dial(t, p)); err != nil {
		t.Error(err)
	}
	p.Runtime = filepath.Join(p.Home, "gone")
	wants(t, "a runtime folder that is not there", Prepare(p, time.Minute), ErrPlace)
}

// One that was started in a session with another folder is not found, and ends all the same.
func TestEndElsewhere(t *testing.T) {
	p := newPlace(t)
	there := p
	there.Runtime = ""
	r := begun(t, there)
	c := dial(t, there)
	if err := seed(c); err != nil {
		t.Fatal(err)
	}
	if was, err := End(t.Context(), p); was || err != nil {
		t.Errorf("%v, %v: none is to be found here", was, err)
	}
	wants(t, "a use after that", seed(c), ErrNotUnlocked)
	r.ends(t)

	r = begun(t, there)
	p.Runtime = filepath.Join(p.Home, "gone")
	if was, err := End(t.Context(), p); was || err != nil {
		t.Errorf("%v, %v: none can be here", was, err)
	}
	r.ends(t)
}

// Threat: what was said of how long the key is held is not true, since an agent that is not
// found holds it longer. Who unlocks it in another session ends that of the first one, also
// where the file system keeps times coarsely.
func TestStartEndsElsewhere(t *testing.T) {
	p := newPlace(t)
	there := p
	there.Runtime = ""
	first := begun(t, there)
	c := dial(t, there)
	if err := seed(c); err != nil {
		t.Fatal(err)
	}
	second := begun(t, p)
	wants(t, "the first one is asked", seed(c), ErrNotUnlocked)
	first.ends(t)
	if err := seed(dial(t, p)); err != nil {
		t.Error("the second one:", err)
	}
	begun(t, there)
	second.ends(t)
	if was, err := End(t.Context(), p); was || err != nil {
		t.Error(was, err)
	}

	const coarse = 2 * time.Second
	was := time.Now().Truncate(coarse)
	for range 3 {
		if err := errors.Join(os.Chtimes(p.KeyFile, was, was), touch(p.KeyFile)); err != nil {
			t.Fatal(err)
		}
		i, err := os.Stat(p.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		is := i.ModTime().Truncate(coarse)
		if is.Equal(was) {
			t.Errorf("%v after %v", i.ModTime(), was)
		}
		was = is
	}
	p.KeyFile += "/x" // in no folder
	_, err := End(t.Context(), p)
	wants(t, "a file that takes no time", err, ErrElsewhere)
}

// Threat: what is said to help does not. One of another version, or with another key, that is
// to end has said that it is there, and sees that its socket is gone: nothing has failed.
func TestEndOfAnother(t *testing.T) {
	for name, g := range map[string]greeting{"another version": {version: version + 1}, "another key": {version: version, state: otherWallet}} {
		p := newPlace(t)
		l := listener(t, p)
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			io.ReadFull(c, make([]byte, openingSize))
			c.Write(codec.Append(nil, g.fields))
		}()
		if was, err := End(t.Context(), p); !was || err != nil {
			t.Errorf("%s: %v, %v", name, was, err)
		}
		if _, err := os.Lstat(l.Addr().String()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: its socket is still there: %v", name, err)
		}
	}
}

// One that gives no answer can be asked no more once it was to end.
func TestEndUnanswered(t *testing.T) {
	p := newPlace(t)
	l := listener(t, p)
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Close()
		}
	}()
	was, err := End(t.Context(), p)
	if wants(t, "end", err, ErrLeft); !was {
		t.Error("it was there")
	}
	if _, err := os.Lstat(l.Addr().String()); !errors.Is(err, os.ErrNotExist) {
		t.Error("its socket is still there:", err)
	}
}

// A process of its own, which gets the root by the pipe.
func TestStart(t *testing.T) {
	p := newPlace(t)
	e := crypto.NewEntropy()
	for _, held := range []time.Duration{0, -1, MaxFor + 1} {
		wants(t, "a time", Prepare(p, held), ErrFor)
	}
	if err := Prepare(p, time.Hour); err != nil {
		t.Fatal(err)
	}
	until, err := Start(t.Context(), p, time.Hour, e.Root())
	if err != nil {
		t.Fatal(err)
	}
	defer End(context.Background(), p)
	c := dial(t, p)
	if !c.Until.Equal(until) || time.Until(until) > time.Hour {
		t.Errorf("until %v and %v", c.Until, until)
	}
	k, err := c.Keys(crypto.LedgerID{1})
	if err != nil {
		t.Fatal(err)
	}
	if k.Address() != e.Root().Identity().Address() {
		t.Error("another address")
	}
	// It replaces itself, and what is in its place does not keep it from starting.
	if _, err := Start(t.Context(), p, time.Hour, e.Root()); err != nil {
		t.Error(err)
	}
	if _, err := k.Seed(crypto.Nonce{1}); err != nil {
		t.Error(err)
	}
	p.KeyFile += "x"
	if _, err = Start(t.Context(), p, time.Hour, e.Root()); err == nil {
		t.Error("started for a file that is not there")
	}
}

// Threat: a key stays unlocked with a passphrase that was given up. A key file that is changed
// while its agent begins is not unlocked.
func TestStartOfAChangedFile(t *testing.T) {
	p := newPlace(t)
	if err := errors.Join(Prepare(p, time.Hour), os.WriteFile(p.KeyFile+".meanwhile", []byte("another passphrase"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), p, time.Hour, crypto.NewEntropy().Root())
	wants(t, "start", err, ErrStart)
	_, err = Dial(t.Context(), p)
	wants(t, "dial", err, ErrNotUnlocked)
}

// What an agent is told is checked, and the root of one that cannot begin is gone.
func TestServeRefuses(t *testing.T) {
	p := newPlace(t)
	socket, err := p.socket(true)
	if err != nil {
		t.Fatal(err)
	}
	h := holding{version: version, time: uint64(time.Minute), wait: uint64(time.Minute), socket: socket, keyFile: p.KeyFile}
	whole := func(change func(h *holding)) []byte {
		h := h
		change(&h)
		b := codec.Append(nil, h.fields)
		return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
	}
	root := make([]byte, 32)
	for name, in := range map[string][]byte{
		"nothing":               nil,
		"half":                  whole(func(*holding) {})[:20],
		"no root":               whole(func(*holding) {}),
		"half a root":           append(whole(func(*holding) {}), root[:31]...),
		"another version":       append(whole(func(h *holding) { h.version++ }), root...),
		"no time":               append(whole(func(h *holding) { h.time = 0 }), root...),
		"too long a time":       append(whole(func(h *holding) { h.time = uint64(MaxFor) + 1 }), root...),
		"more than there is":    append([]byte{0xff, 0xff}, root...),
		"no key file":           append(whole(func(h *holding) { h.keyFile += "x" }), root...),
		"a folder that is gone": append(whole(func(h *holding) { h.socket = p.Runtime + "/gone/x" }), root...),
	} {
		var out closing
		if err := Serve(t.Context(), bytes.NewReader(in), &out); err == nil {
			t.Errorf("%s: it has served", name)
		}
		var r report
		if err := codec.Parse(out.Bytes(), r.fields); err != nil || r.until != 0 || r.err() == nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(socket)); err != nil || len(left) != 0 {
		t.Error("left:", left, err)
	}
}

type closing struct{ bytes.Buffer }

func (*closing) Close() error { return nil }

// Whatever a client sends: nothing but answers comes back, and the agent goes on.
func FuzzConverse(f *testing.F) {
	p := newPlace(f)
	r := begun(f, p)
	o := opening{version, r.wallet}
	hello := codec.Append(nil, o.fields)
	f.Add(hello)
	f.Add(append(bytes.Clone(hello), append([]byte{33, 1}, make([]byte, 32)...)...))
	f.Add(append(bytes.Clone(hello), 1, 3, 255, 0))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		if i := bytes.Index(sent, []byte{1, askEnd}); i >= 0 {
			t.Skip("it would end")
		}
		c, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(sent) // it may have hung up
		c.(*net.UnixConn).CloseWrite()
		got, _ := io.ReadAll(c)
		var g greeting
		if len(got) == 0 {
			return
		}
		rest, err := codec.Read(got, g.fields)
		if err != nil || g.version != version {
			t.Fatalf("%x: %v", got, err)
		}
		for len(rest) > 0 {
			n := 1 + int(rest[0])
			if n == 1 || n > len(rest) {
				t.Fatalf("no answer: %x", rest)
			}
			rest = rest[n:]
		}
		if r.over() {
			t.Error("it has ended")
		}
	})
}

// What is parsed of a connection's beginning has one form.
func FuzzBeginning(f *testing.F) {
	o, g, h := opening{version: 7}, greeting{version: 7, until: 9}, holding{version: version, time: 1, wait: 1, socket: "s", keyFile: "k"}
	f.Add(codec.Append(nil, o.fields))
	f.Add(codec.Append(nil, g.fields))
	f.Add(codec.Append(nil, h.fields))
	r := report{until: 1, code: "c", why: "w"}
	f.Add(codec.Append(nil, r.fields))
	f.Fuzz(func(t *testing.T, b []byte) {
		var o opening
		var g greeting
		var h holding
		var r report
		for name, fields := range map[string]func(*codec.Codec){"opening": o.fields, "greeting": g.fields, "holding": h.fields, "report": r.fields} {
			if codec.Parse(b, fields) == nil {
				if again := codec.Append(nil, fields); !bytes.Equal(again, b) {
					t.Errorf("%s: %x came back as %x", name, b, again)
				}
			}
		}
	})
}
