package order_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
)

// The test binary is the program too, when it is started under its name.
const fakeName = order.ProgramPrefix + "fake"

func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), fakeName) {
		os.Exit(fake())
	}
	os.Exit(m.Run())
}

// fake is a backend's program that keeps its order in memory and is bad in the way
// that its URL says: fake:WAY or fake:WAY:FILE, where it is bad only until FILE is
// there, which it makes.
func fake() int {
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	var hello struct{ Protocol, URL string }
	line, _ := in.ReadBytes('\n')
	json.Unmarshal(line, &hello)
	_, way, _ := strings.Cut(hello.URL, ":")
	way, file, _ := strings.Cut(way, ":")
	if file != "" {
		if _, err := os.Stat(file); err == nil {
			way = cmp.Or(map[string]string{"dies-no": "no", "dies-failed": "failed", "dies-quota": "quota"}[way], "good")
		} else if os.WriteFile(file, nil, 0o600) != nil {
			return 1
		}
	}
	welcome := map[string]any{"protocol": hello.Protocol, "name": "fake", "later": true}
	kept := order.Backend(&ledgertest.Memory{Clock: func() contract.Hour { return 490_000 }})
	switch way {
	case "mute":
		io.Copy(io.Discard, in)
		return 0
	case "version":
		welcome["protocol"] = "carekey-order/9"
	case "no":
		welcome = map[string]any{"error": map[string]any{"code": "failed", "message": "no \x1b[31msuch order"}}
	case "gone":
		return 3
	case "talk":
		fmt.Fprintf(os.Stderr, "one\ntwo \x1b[2J\n%s\n", strings.Repeat("x", 10_000))
		for range 40_000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("y", 100))
		}
		return serve(line, in, kept)
	case "maybe":
		return serve(line, in, unable{kept, order.ErrUnknown.Of(errors.New("the chain is silent"))})
	case "failed":
		return serve(line, in, unable{kept, errors.New("full")})
	case "quota":
		return serve(line, in, unable{kept, ledgerclient.ErrQuota.With("why", "no more in this hour")})
	case "hangs":
		return serve(line, in, hanging{kept})
	case "good":
		return serve(line, in, kept)
	case "stated":
		return serve(line, in, stated{hanging{kept}, &order.State{Waits: 90 * time.Second, Words: "1 of 4 \x1b[2Jdecides; " + strings.Repeat("é", 2000)}})
	case "unstated":
		return serve(line, in, stated{hanging{kept}, nil})
	case "few":
		order.Serve(io.MultiReader(bytes.NewReader(line), in), silent{}, func(string) (order.Backend, error) { return few{kept}, nil })
		return 0
	}
	out.Encode(welcome)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return 0
		}
		var q struct{ ID uint64 }
		if json.Unmarshal(line, &q) != nil {
			return 1
		}
		a := map[string]any{"id": q.ID}
		switch way {
		case "slow":
			io.Copy(io.Discard, in)
			return 0
		case "dies", "dies-no", "dies-failed", "dies-quota":
			return 1
		case "flood":
			for {
				if _, err := os.Stdout.Write(bytes.Repeat([]byte("flood "), 1000)); err != nil {
					return 1
				}
			}
		case "lines":
			for {
				if out.Encode(a) != nil {
					return 1
				}
			}
		case "garbage":
			os.Stdout.WriteString("\x00{]\n")
		case "id":
			out.Encode(map[string]any{"id": q.ID + 1, "positions": []uint64{0, 1}, "items": []int{}, "head": 2})
		case "short":
			a["positions"], a["items"] = []uint64{}, []map[string]any{{"hour": 1, "entry": "AAAA"}}
			out.Encode(a)
		case "number":
			fmt.Printf(`{"id":%d,"head":-1,"positions":["x"],"items":[{"hour":4294967296}]}`+"\n", q.ID)
		}
	}
}

// serve answers as a program should; the first line was read already.
func serve(first []byte, in io.Reader, b order.Backend) int {
	err := order.Serve(io.MultiReader(bytes.NewReader(first), in), os.Stdout, func(string) (order.Backend, error) { return b, nil })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// unable is a backend that fails in one way.
type unable struct {
	order.Backend
	err error
}

func (b unable) Append(context.Context, []contract.Entry) ([]uint64, error) { return nil, b.err }
func (b unable) Configure(context.Context, contract.Entry, string) (uint64, error) {
	return 0, b.err
}
func (b unable) Read(context.Context, uint64) ([]order.Item, error) { return nil, b.err }
func (b unable) Head(context.Context) (uint64, error)               { return 0, b.err }

// stated is a backend that says in what state it is; nil: only that it would.
type stated struct {
	order.Backend
	state *order.State
}

func (b stated) State(context.Context) (*order.State, error) { return b.state, nil }

// few is a backend that takes no more entries at once than all must, and none of version 9.
type few struct{ order.Backend }

func (b few) Append(ctx context.Context, es []contract.Entry) ([]uint64, error) {
	if len(es) > 256 || slices.ContainsFunc(es, func(e contract.Entry) bool { return e.Version == 9 }) {
		return nil, errors.New("too many, or of version 9")
	}
	return b.Backend.Append(ctx, es)
}

// silent is the standard output of a program that does not say how many entries it takes.
type silent struct{}

func (silent) Write(p []byte) (int, error) {
	_, err := os.Stdout.Write(bytes.Replace(p, []byte(`,"append":1024`), nil, 1))
	return len(p), err
}

// A program that does not say how many entries it takes at once is given 256, and the next
// when it has answered. If it can do only a part, it may have done something.
func TestFewAtOnce(t *testing.T) {
	install(t)
	b, err := order.Start(t.Context(), "fake:few", order.ProgramOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	many := make([]contract.Entry, 2*256+1)
	for i := range many {
		many[i] = contract.Entry{Version: 1, Kind: contract.KindRecord, NotBefore: contract.Hour(i)}
	}
	at, err := b.Append(t.Context(), many)
	if err != nil || len(at) != len(many) {
		t.Fatalf("%d positions, %v", len(at), err)
	}
	for i := range at {
		if at[i] != uint64(i) {
			t.Fatalf("entry %d is at %d", i, at[i])
		}
	}
	for _, c := range []struct {
		wrong   int
		unknown bool
	}{{0, false}, {255, false}, {256, true}, {512, true}} {
		for i := range many {
			many[i].NotAfter, many[i].Version = contract.Hour(c.wrong+1), 1
		}
		many[c.wrong].Version = 9
		if _, err := b.Append(t.Context(), many); faultOf(err) != order.SaysNo || errors.Is(err, order.ErrUnknown) != c.unknown {
			t.Errorf("where entry %d is not taken: %v", c.wrong, err)
		}
	}
}

// hanging is a backend whose appends never end.
type hanging struct{ order.Backend }

func (b hanging) Append(context.Context, []contract.Entry) ([]uint64, error) {
	fmt.Fprintln(os.Stderr, "asked to append")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
	return nil, nil
}

// heard is closed when a program says something.
type heard struct {
	once sync.Once
	c    chan struct{}
}

func (h *heard) Write(p []byte) (int, error) {
	h.once.Do(func() { close(h.c) })
	return len(p), nil
}

// install puts the fake into PATH.
func install(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := fakeName + filepath.Ext(self)
	if filepath.Ext(self) != ".exe" {
		name = fakeName
	}
	if os.Symlink(self, filepath.Join(dir, name)) != nil {
		b, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

func faultOf(err error) order.Fault {
	var e *order.ProgramError
	if errors.As(err, &e) {
		return e.Fault
	}
	return ""
}

var es = []contract.Entry{{Version: 1, Kind: 2}, {Version: 1, Kind: 3}}

func TestGood(t *testing.T) {
	install(t)
	t.Setenv("CAREKEY_PASSPHRASE_FILE", "/nowhere")
	b, err := order.Start(t.Context(), "fake:good", order.ProgramOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Name() != "memory" {
		t.Error(b.Name())
	}
	at, err := b.Append(t.Context(), es)
	if err != nil || len(at) != 2 || at[1] != 1 {
		t.Errorf("%v, %v", at, err)
	}
	items, err := b.Read(t.Context(), 1)
	if err != nil || len(items) != 1 || items[0] != (order.Item{Hour: 490_000, Entry: es[1]}) {
		t.Errorf("%+v, %v", items, err)
	}
	const doc = "carekey ledger 1\n"
	e := contract.Entry{Version: 1, Kind: contract.KindConfig, Commitment: contract.ConfigCommitment([]byte(doc))}
	if at, err := b.Configure(t.Context(), e, doc); err != nil || at != 2 {
		t.Errorf("%v, %v", at, err)
	}
	items, err = b.Read(t.Context(), 2)
	if err != nil || len(items) != 1 || items[0] != (order.Item{Hour: 490_000, Entry: e, Document: doc}) {
		t.Errorf("%+v, %v", items, err)
	}
	if _, err := b.Configure(t.Context(), e, doc+"\n"); faultOf(err) != order.SaysNo || errors.Is(err, order.ErrUnknown) {
		t.Errorf("with another document: %v", err)
	}
	if _, err := b.Append(t.Context(), []contract.Entry{e}); faultOf(err) != order.SaysNo || errors.Is(err, order.ErrUnknown) {
		t.Errorf("without its document: %v", err)
	}
	if n, err := b.Head(t.Context()); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	b.Close()
	if _, err := b.Head(t.Context()); faultOf(err) != order.Died {
		t.Errorf("after Close: %v", err)
	}
}

// A program that says so is asked in what state it is, also while an append waits, and one that
// does not is not asked.
func TestProgramState(t *testing.T) {
	install(t)
	for _, c := range []struct {
		way   string
		state *order.State
		fault order.Fault
	}{
		{"stated", &order.State{Waits: 90 * time.Second, Words: "1 of 4 \ufffd[2Jdecides; " + strings.Repeat("é", 1000-len("1 of 4 x[2Jdecides; "))}, ""},
		{"unstated", nil, order.SaysNo},
		{"hangs", nil, ""},
	} {
		b, err := order.Start(t.Context(), "fake:"+c.way, order.ProgramOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		var waits sync.WaitGroup
		waits.Go(func() { b.Append(ctx, es) })
		s, err := b.State(t.Context())
		if faultOf(err) != c.fault || (s == nil) != (c.state == nil) || s != nil && *s != *c.state {
			t.Errorf("%s: %+v, %v", c.way, s, err)
		}
		end()
		waits.Wait()
		b.Close()
		if s, err := b.State(t.Context()); c.way == "hangs" && (s != nil || err != nil) {
			t.Errorf("one that is not to be asked was: %+v, %v", s, err)
		}
	}
}

// Whatever a program does, each call ends with a typed error, and an append of
// which nothing is known says so.
func TestBadPrograms(t *testing.T) {
	lane.OneGoroutine(t)
	install(t)
	for _, c := range []struct {
		way         string
		start, call order.Fault
	}{
		{"mute", order.Late, ""},
		{"version", order.BadHello, ""},
		{"no", order.SaysNo, ""},
		{"gone", order.Died, ""},
		{"slow", "", order.Late},
		{"dies", "", order.Died},
		{"flood", "", order.TooLong},
		{"garbage", "", order.Garbage},
		{"id", "", order.Garbage},
		{"maybe", "", order.SaysMaybe},
		{"failed", "", order.SaysNo},
		{"quota", "", order.SaysQuota},
		{"short", "", order.Garbage},
		{"number", "", order.Garbage},
	} {
		t.Run(c.way, func(t *testing.T) {
			opt := order.ProgramOptions{Timeout: time.Minute}
			if c.start == order.Late {
				opt.Timeout = 50 * time.Millisecond
			}
			b, err := order.Start(t.Context(), "fake:"+c.way, opt)
			if faultOf(err) != c.start {
				t.Fatalf("start: %v", err)
			}
			if err != nil {
				if strings.ContainsRune(err.Error(), 0x1b) {
					t.Errorf("a control character is passed on: %q", err)
				}
				return
			}
			defer b.Close()
			call := func() context.Context { return t.Context() }
			if c.call == order.Late {
				call = func() context.Context {
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					t.Cleanup(cancel)
					return ctx
				}
			}
			no := c.call == order.SaysNo || c.call == order.SaysQuota // and nothing was done
			_, err = b.Append(call(), es)
			if faultOf(err) != c.call || errors.Is(err, order.ErrUnknown) == no || errors.Is(err, ledgerclient.ErrQuota) != (c.way == "quota") {
				t.Errorf("append: %v", err)
			}
			_, err = b.Configure(call(), contract.Entry{Kind: contract.KindConfig, Commitment: contract.ConfigCommitment([]byte("x"))}, "x")
			if faultOf(err) != c.call || errors.Is(err, order.ErrUnknown) == no || errors.Is(err, ledgerclient.ErrQuota) != (c.way == "quota") {
				t.Errorf("configure: %v", err)
			}
			if _, err = b.Read(call(), 0); faultOf(err) != c.call {
				t.Errorf("read: %v", err)
			}
			if _, err = b.Head(call()); c.way != "short" && faultOf(err) != c.call {
				t.Errorf("head: %v", err)
			}
		})
	}
}

// More lines than were asked for are never taken for answers.
func TestUnaskedLines(t *testing.T) {
	install(t)
	b, err := order.Start(t.Context(), "fake:lines", order.ProgramOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 3 {
		if _, err := b.Head(t.Context()); faultOf(err) != order.Garbage {
			t.Errorf("%v", err)
		}
	}
}

// What a program says that was started again does not tell what the one did that was asked
// before: nothing is known of an append, whatever the second answers but where it is.
func TestRestartSaysNo(t *testing.T) {
	install(t)
	for _, way := range []string{"dies-no", "dies-failed", "dies-quota"} {
		b, err := order.Start(t.Context(), "fake:"+way+":"+filepath.Join(t.TempDir(), "seen"), order.ProgramOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Append(t.Context(), es); faultOf(err) != order.SaysMaybe || !errors.Is(err, order.ErrUnknown) {
			t.Errorf("%s: %v", way, err)
		}
		b.Close()
	}
}

// A program that ends is started again once, and asked again.
func TestRestart(t *testing.T) {
	install(t)
	for _, way := range []string{"dies", "garbage", "flood"} {
		b, err := order.Start(t.Context(), "fake:"+way+":"+filepath.Join(t.TempDir(), "seen"), order.ProgramOptions{})
		if err != nil {
			t.Fatal(err)
		}
		at, err := b.Append(t.Context(), es)
		if err != nil || len(at) != 2 {
			t.Errorf("%s: %v, %v", way, at, err)
		}
		b.Close()
	}
}

// While a program does not answer an append, another process of it reads.
func TestReadsBesideAnAppend(t *testing.T) {
	install(t)
	asked := &heard{c: make(chan struct{})}
	b, err := order.Start(t.Context(), "fake:hangs", order.ProgramOptions{Stderr: asked, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	call, giveUp := context.WithCancel(t.Context())
	appended := make(chan error, 1)
	go func() {
		_, err := b.Append(call, es)
		appended <- err
	}()
	<-asked.c
	if n, err := b.Head(t.Context()); err != nil || n != 0 {
		t.Errorf("head %d, %v", n, err)
	}
	if items, err := b.Read(t.Context(), 0); err != nil || len(items) != 0 {
		t.Errorf("%d items, %v", len(items), err)
	}
	if b.Name() != "memory" {
		t.Error(b.Name())
	}
	select {
	case err := <-appended:
		t.Errorf("the append has ended: %v", err)
	default:
	}
	giveUp()
	if err := <-appended; !errors.Is(err, order.ErrUnknown) || faultOf(err) != order.Late {
		t.Errorf("append: %v", err)
	}
}

// safeBuffer is a buffer for two goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// What a program says on standard error is shown behind its name, without control
// characters, and not without end.
func TestTalk(t *testing.T) {
	install(t)
	var talk safeBuffer
	b, err := order.Start(t.Context(), "fake:talk", order.ProgramOptions{Stderr: &talk})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Head(t.Context()); err != nil { // answered after all of it was written
		t.Fatal(err)
	}
	b.Close()
	s := talk.String()
	if !strings.HasPrefix(s, fakeName+": one\n"+fakeName+": two \ufffd[2J\n") {
		t.Errorf("%.80q", s)
	}
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, fakeName+": ") || len(line) > 300 {
			t.Fatalf("%.80q", line)
		}
	}
	if len(s) > 2<<20 || !strings.HasSuffix(s, "says more than is passed on\n") {
		t.Errorf("%d bytes, to %.80q", len(s), s[max(0, len(s)-80):])
	}
}

func TestNames(t *testing.T) {
	for url, want := range map[string]string{
		"foo:x": "carekey-ledger-foo", "foo-2:": "carekey-ledger-foo-2", "https://x": "carekey-ledger-https",
		"foo": "", ":x": "", "../x:y": "", "Foo:x": "", "f oo:": "", "2foo:": "", strings.Repeat("a", 33) + ":": "",
	} {
		if got, ok := order.ProgramName(url); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", url, got, ok)
		}
	}
	if _, err := order.Start(t.Context(), "not-installed-anywhere:x", order.ProgramOptions{}); faultOf(err) != order.Missing {
		t.Errorf("%v", err)
	}
}
