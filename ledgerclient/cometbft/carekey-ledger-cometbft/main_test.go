package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/cometbft"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
)

const program = "carekey-ledger-cometbft"

// testClock names a file with a duration by which the clock of a validator is ahead of that
// of the computer.
const testClock = "CAREKEY_TEST_CLOCK"

// The test binary is the program itself where it is called so.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == program {
		if file := os.Getenv(testClock); file != "" {
			clock = func() time.Time {
				text, err := os.ReadFile(file)
				ahead, wrong := time.ParseDuration(string(text))
				if err := errors.Join(err, wrong); err != nil {
					panic(err)
				}
				return time.Now().Add(ahead)
			}
		}
		main()
	}
	bin, err := os.MkdirTemp("", "bin")
	if err != nil {
		panic(err)
	}
	self, err := os.Executable()
	if err == nil {
		err = errors.Join(os.Symlink(self, filepath.Join(bin, program)), os.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH")))
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(bin)
	os.Exit(code)
}

// patience is how long a test waits for what must happen: long beyond what it takes.
const patience = 10 * time.Minute

// network are n institutions on this computer, each with its keys and a validator's folder.
type network struct {
	t          *testing.T
	dir        string
	ctx        context.Context
	rnd        *rand.Rand
	wait       string // how long an append waits; "": 20s
	validators []*validator
	orders     []order.Backend  // see up
	sent       []contract.Entry // what was ordered, or will be
}

type validator struct {
	n         *network
	name, dir string
	env       []string
	cmd       *exec.Cmd // nil: not running
	ended     chan error
	said      *bytes.Buffer
}

func newNetwork(t *testing.T, n int) *network {
	dir, err := os.MkdirTemp("", "bft") // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	w := &network{t: t, dir: dir, ctx: ctx, rnd: rand.New(rand.NewPCG(uint64(n), 26656))}
	d := node.Draft{Name: "Region ledger", Threshold: uint8(node.DefaultThreshold(n)), Release: 1}
	var addresses, nodes []string
	for i := range n {
		nodes = append(nodes, filepath.Join(dir, fmt.Sprintf("node%d", i)))
		keys, err := folder.MakeKeys(nodes[i])
		if err != nil {
			t.Fatal(err)
		}
		name := []string{"City hospital", "Region clinic", "University", "Patients"}[i]
		d.Members = append(d.Members, node.Member{Name: name, Node: keys.Node(), Keeper: keys.Keeper(), URLs: []string{fmt.Sprintf("https://node%d.example:8443", i)}})
		addresses = append(addresses, freeAddress(t))
	}
	for i, m := range d.Members {
		v := &validator{n: w, name: m.Name, dir: filepath.Join(dir, fmt.Sprintf("validator%d", i))}
		s := cometbft.Settings{Draft: d.String(), Node: nodes[i], Listen: addresses[i], Peers: map[string]string{}}
		for j, other := range d.Members {
			s.Peers[other.Name] = addresses[j]
		}
		if err := cometbft.Init(v.dir, s); err != nil {
			t.Fatal(err)
		}
		w.validators = append(w.validators, v)
	}
	t.Cleanup(func() {
		for _, v := range w.validators {
			v.kill()
		}
	})
	return w
}

var given atomic.Int32 // addresses by freeAddress

// freeAddress is one at which nobody else listens. Where all of 127/8 is this computer it
// is one of this process alone.
func freeAddress(t *testing.T) string {
	if pid := os.Getpid(); runtime.GOOS == "linux" {
		return fmt.Sprintf("127.%d.%d.%d:%d", 16+pid>>12&63, pid>>4&255, 1+pid&15, 26656+given.Add(1))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the validator and waits until it serves.
func (v *validator) start(env ...string) {
	v.n.t.Helper()
	if v.launch(env...) == nil {
		v.n.t.Fatalf("%s does not start:\n%s", v.name, v.said)
	}
}

// launch starts the process, and returns nil if it ended before it served.
func (v *validator) launch(env ...string) *exec.Cmd {
	v.n.t.Helper()
	v.cmd = exec.CommandContext(v.n.ctx, program, "serve", v.dir, "--wait", cmp.Or(v.n.wait, "20s"), "--debug")
	v.cmd.Env = slices.Concat(os.Environ(), v.env, env)
	v.said = &bytes.Buffer{}
	v.cmd.Stderr = v.said
	out, err := v.cmd.StdoutPipe()
	if err == nil {
		err = v.cmd.Start()
	}
	if err != nil {
		v.n.t.Fatal(err)
	}
	var line [8]byte
	_, err = io.ReadFull(out, line[:])
	cmd, ended := v.cmd, make(chan error, 1)
	v.ended = ended
	go func() {
		io.Copy(io.Discard, out)
		ended <- cmd.Wait()
	}()
	if err != nil || string(line[:]) != "serving " {
		v.end()
		return nil
	}
	return v.cmd
}

// end waits until the process has ended.
func (v *validator) end() error {
	err := <-v.ended
	v.cmd = nil
	return err
}

// kill ends the process at once, as kill -9 does.
func (v *validator) kill() {
	if v.cmd != nil {
		v.cmd.Process.Kill()
		v.end()
	}
}

// stop tells the process to stop, which it must do as it should.
func (v *validator) stop() {
	v.n.t.Helper()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		v.n.t.Fatal(err)
	}
	if err := v.end(); err != nil {
		v.n.t.Errorf("told to stop, %s ended with %v:\n%s", v.name, err, v.said)
	}
}

// up starts all validators, and the program of each.
func (n *network) up() {
	n.t.Helper()
	for _, v := range n.validators {
		v.start()
		n.orders = append(n.orders, v.order())
	}
}

// through has new entries ordered through each of some members at the same time, and returns
// them.
func (n *network) through(members ...int) (sent []contract.Entry) {
	n.t.Helper()
	var together sync.WaitGroup
	for _, i := range members {
		es := n.records(20)
		sent = append(sent, es...)
		together.Go(func() { n.put(n.orders[i], es) })
	}
	together.Wait()
	n.sent = append(n.sent, sent...)
	return sent
}

// waits has entries of which a member does not know what came, since there are too few, and
// returns them.
func (n *network) waits(member int, words ...string) []contract.Entry {
	n.t.Helper()
	es := n.records(7)
	var err error
	for !errors.Is(err, order.ErrUnknown) && n.ctx.Err() == nil { // where this computer is slow, they may not have been sent
		_, err = n.orders[member].Append(n.ctx, es)
	}
	for _, w := range words {
		if !strings.Contains(fmt.Sprint(err), w) {
			n.t.Errorf("%s says %v", n.validators[member].name, err)
		}
	}
	n.sent = append(n.sent, es...)
	return es
}

// state is what carekey is told of a member's order.
func (n *network) state(member int) order.State {
	n.t.Helper()
	s, err := n.orders[member].(order.Stated).State(n.ctx)
	if err != nil || s == nil {
		n.t.Fatal(s, err)
	}
	return *s
}

// level waits until members have as many items as were ordered, or more.
func (n *network) level(size int, members ...int) {
	n.t.Helper()
	for _, i := range members {
		for ; ; time.Sleep(5 * time.Millisecond) {
			head, err := n.orders[i].Head(n.ctx)
			if err != nil {
				n.t.Fatal(err)
			}
			if head >= uint64(size) {
				break
			}
		}
	}
}

// agree checks that all members have one order, in which each entry is once, and returns it.
func (n *network) agree() []order.Item {
	n.t.Helper()
	n.level(len(n.sent), 0, 1, 2, 3)
	want := n.once(n.orders[0], n.sent)
	for i, b := range n.orders {
		if !slices.Equal(n.all(b), want) {
			n.t.Errorf("%s has another order", n.validators[i].name)
		}
	}
	return want
}

// order starts the program that carekey starts.
func (v *validator) order() order.Backend {
	v.n.t.Helper()
	b, err := order.Start(v.n.ctx, "cometbft:"+v.dir, order.ProgramOptions{Stderr: v.n.t.Output()})
	if err != nil {
		v.n.t.Fatalf("%s: %v\n%s", v.name, err, v.said)
	}
	v.n.t.Cleanup(func() { b.Close() })
	return b
}

func (n *network) records(count int) []contract.Entry {
	es := make([]contract.Entry, count)
	for i := range es {
		var b [contract.Size]byte
		for j := range b {
			b[j] = byte(n.rnd.Uint32())
		}
		es[i], _ = contract.ParseEntry(b[:])
		es[i].Kind = contract.KindRecord
	}
	return es
}

// put has entries ordered, again and again while it is not known what came of them.
func (n *network) put(b order.Backend, es []contract.Entry) []uint64 {
	n.t.Helper()
	for {
		at, err := b.Append(n.ctx, es)
		if err == nil {
			return at
		}
		if n.ctx.Err() != nil {
			n.t.Fatal(err)
		}
	}
}

// all reads the whole order.
func (n *network) all(b order.Backend) (items []order.Item) {
	n.t.Helper()
	for {
		some, err := b.Read(n.ctx, uint64(len(items)))
		if err != nil {
			n.t.Fatal(err)
		}
		if len(some) == 0 {
			return items
		}
		items = append(items, some...)
	}
}

// once checks that a validator has each of the entries once, and returns the order.
func (n *network) once(b order.Backend, es []contract.Entry) []order.Item {
	n.t.Helper()
	items := n.all(b)
	count := map[contract.Entry]int{}
	for _, i := range items {
		count[i.Entry]++
	}
	for i, e := range es {
		if count[e] != 1 {
			n.t.Fatalf("entry %d is in the order %d times", i, count[e])
		}
	}
	if len(items) != len(es) {
		n.t.Fatalf("%d items for %d entries", len(items), len(es))
	}
	return items
}

// until asks a validator until the words of its status are such.
func (v *validator) until(such func(words string) bool) cometbft.Status {
	v.n.t.Helper()
	for ; ; time.Sleep(5 * time.Millisecond) {
		s, err := cometbft.StatusOf(v.dir)
		if err == nil && such(s.Words) {
			return s
		}
		if v.n.ctx.Err() != nil {
			v.n.t.Fatalf("%s says %q (%v)", v.name, s.Words, err)
		}
	}
}

// The suite that every order must pass, through the program.
func TestConform(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	v := n.validators[0]
	v.start()
	all := ledgertest.Run(t, ledgertest.Harness{
		Seed:  26656,
		Order: func(context.Context) (order.Backend, error) { return v.order(), nil },
	})
	for _, r := range all {
		if r.Skipped != "" && r.Name != "clock" { // TestSolo has the clock in its hands
			t.Errorf("%s was skipped: %s", r.Name, r.Skipped)
		}
	}
	if len(all) < 10 {
		t.Errorf("%d cases", len(all))
	}
	// Told to stop, it ends as it should, and goes on with what it has.
	b := v.order()
	items := n.all(b)
	v.stop()
	v.start()
	if !slices.Equal(n.all(b), items) {
		t.Error("another order was there before")
	}
}

// Four institutions: with one of them missing the order goes on; with two it stops, says so
// and why, and what waited is decided once when one is back; one that has lost all it had
// reads it again from the others. All have one order in the end.
func TestFour(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	n.wait = "2s"
	n.up()
	n.through(0, 1, 2, 3)
	n.validators[0].until(func(w string) bool { return w == "4 of 4 decide" })

	n.validators[3].kill()
	s := n.validators[0].until(func(w string) bool { return strings.HasPrefix(w, "3 of 4 decide; Patients is missing since ") })
	if s.Members[3].State != "missing" || s.Members[0].State != "decides" || s.Needed != 3 {
		t.Errorf("%+v", s)
	}
	n.through(0, 1, 2)

	n.validators[2].kill()
	n.validators[0].until(func(w string) bool {
		return strings.HasPrefix(w, "2 of 4 decide, and 3 are needed: nothing is ordered since ")
	})
	if s := n.state(0); s.Decides || s.Waits != 0 || !strings.HasPrefix(s.Words, "2 of 4 decide, ") || !strings.Contains(s.Words, "; Patients is missing since ") {
		t.Errorf("nothing waits: %+v", s)
	}
	ordered := uint64(len(n.sent))
	waits := n.waits(0, "2 of 4 decide", "University is missing")
	for !strings.Contains(n.state(0).Words, "; what was handed over here has waited for ") { // from two seconds on
		time.Sleep(5 * time.Millisecond)
	}
	if s := n.state(0); s.Decides || s.Waits < 2*time.Second {
		t.Errorf("something waits: %+v", s)
	}
	head, err := n.orders[1].Head(n.ctx)
	if err != nil || head != ordered {
		t.Errorf("%d items with two of four, after %d (%v)", head, ordered, err)
	}
	n.validators[2].start()
	n.put(n.orders[0], waits)
	n.through(0, 1, 2)
	if s := n.state(0); !s.Decides || s.Waits != 0 || !strings.HasPrefix(s.Words, "3 of 4 decide; ") {
		t.Errorf("it goes on: %+v", s)
	}

	// The fourth has lost all but its keys and settings.
	v := n.validators[3]
	for _, name := range []string{"data", "votes.json"} {
		if err := os.RemoveAll(filepath.Join(v.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	v.start()
	v.until(func(w string) bool { return w == "4 of 4 decide" })
	n.through(0, 3)
	n.validators[1].kill() // from here on the one that came back is needed
	n.through(0, 2, 3)
	n.validators[1].start()
	n.through(1)
	n.agree()
	for _, v := range n.validators { // while the others are connected
		v.stop()
	}
}

// Where each of them is needed, one that has lost what it voted for does not stop the others.
func TestAllNeeded(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 2)
	var orders []order.Backend
	for _, v := range n.validators {
		v.start()
		orders = append(orders, v.order())
	}
	all := n.records(5)
	n.put(orders[0], all)
	v := n.validators[1]
	v.kill()
	if err := os.Remove(filepath.Join(v.dir, "votes.json")); err != nil {
		t.Fatal(err)
	}
	v.start()
	more := n.records(5)
	n.put(orders[0], more)
	n.once(orders[0], append(all, more...))
}

// An institution that made its validator of another draft is named by the others, which go on;
// and a node of the one ledger is told which the validator keeps.
func TestAnotherDraft(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	settings := filepath.Join(n.validators[3].dir, "validator.json")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, bytes.Replace(text, []byte("Region ledger"), []byte("Other ledger"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	n.up()
	n.through(0, 1, 2)
	s := n.validators[0].until(func(w string) bool {
		return strings.HasPrefix(w, "3 of 4 decide; the validator of Patients FOLLOWS ANOTHER DRAFT: ")
	})
	if s.Members[3].State != "another draft" {
		t.Errorf("%+v", s)
	}
	var keeps []crypto.LedgerID
	for i, v := range n.validators {
		o, err := cometbft.ReadOptions(v.dir)
		if err != nil {
			t.Fatal(err)
		}
		keeps = append(keeps, n.orders[i].(order.Dedicated).Keeps())
		if keeps[i] != contract.LedgerID(o.Genesis) {
			t.Errorf("%s keeps %v", v.name, keeps[i])
		}
	}
	if keeps[0] != keeps[2] || keeps[0] == keeps[3] {
		t.Errorf("%v", keeps)
	}
	// A program that finds another validator there than before does not go on.
	n.validators[0].kill()
	dir := n.validators[0].dir
	if err := errors.Join(os.Rename(dir, dir+"-away"), os.Rename(n.validators[3].dir, dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.orders[0].Head(n.ctx); err == nil || !strings.Contains(err.Error(), string(order.Changed)) && !strings.Contains(err.Error(), "no validator runs on") {
		t.Errorf("%v", err)
	}
}

// Many entries through several institutions take a bounded memory, and one that was away
// meanwhile, and one that has lost all it had, read them from the others.
func TestMany(t *testing.T) {
	t.Parallel()
	const most = 192 << 10 // KiB of memory for a validator
	n := newNetwork(t, 4)
	var orders []order.Backend
	for _, v := range n.validators[:3] {
		v.start()
		orders = append(orders, v.order())
	}
	count := lane.Pick(33_536, 2_000, 500)
	var ended sync.WaitGroup
	for _, b := range orders {
		es := n.records(count)
		ended.Go(func() {
			for some := range slices.Chunk(es, 256) {
				n.put(b, some)
			}
		})
	}
	ended.Wait()
	late := n.validators[3]
	late.start()
	for ; ; time.Sleep(5 * time.Millisecond) {
		s, err := cometbft.StatusOf(late.dir)
		if err == nil && s.Items == uint64(3*count) && !s.Behind {
			break
		}
		if n.ctx.Err() != nil {
			t.Fatalf("%d items, %s", s.Items, s.Words)
		}
	}
	want := n.all(orders[0])
	if len(want) != 3*count || !slices.Equal(n.all(late.order()), want) {
		t.Errorf("%d items for %d entries, or another order", len(want), 3*count)
	}
	for _, v := range n.validators {
		memory, cmd := v.memory(), v.cmd
		v.kill()
		spent := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		t.Logf("memory: %s: %d MiB, and %.2f ms of processor time for an entry", v.name, memory>>10, float64(spent.Microseconds())/1000/float64(3*count))
		if memory > most && !lane.Race() {
			t.Errorf("%s took %d MiB", v.name, memory>>10)
		}
	}
}

// memory is the most that a process took, in KiB; 0 where the system does not tell.
func (v *validator) memory() (kib int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	_, after, _ := bytes.Cut(b, []byte("VmHWM:"))
	fmt.Sscan(string(after), &kib)
	return kib
}

// A process that ends at any of the engine's steps between a decision and what follows from
// it has decided each entry once when it is back.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	v := n.validators[0]
	var all []contract.Entry
	unanswered := 0
	for step := range 20 {
		es := n.records(2)
		all = append(all, es...)
		err := errors.New("it ended before it served")
		if v.launch(fmt.Sprintf("FAIL_TEST_INDEX=%d", step)) != nil {
			var b order.Backend
			if b, err = order.Start(n.ctx, "cometbft:"+v.dir, order.ProgramOptions{}); err == nil {
				_, err = b.Append(n.ctx, es)
				b.Close()
			}
			v.kill()
		}
		if err != nil {
			unanswered++
		}
		v.start()
		b := v.order()
		n.put(b, es)
		n.once(b, all)
		b.Close()
		v.kill()
	}
	if unanswered < 5 {
		t.Errorf("it ended %d times before it had answered", unanswered)
	}
}

// What is said wrongly, and what is missing, is told in a line.
func TestWrong(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	v := n.validators[0]
	draft := filepath.Join(n.dir, "draft")
	o, err := cometbft.ReadOptions(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(v.dir, "validator.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(draft, []byte("carekey draft 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(n.dir, "other")
	if _, err := folder.MakeKeys(other); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(n.dir, "stranger")
	if err := os.Mkdir(stranger, 0o700); err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(filepath.Join(n.dir, "node0")), []byte(other))
	if err := os.WriteFile(filepath.Join(stranger, "validator.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"a verb, and the folder":            {"serve"},
		"there is no verb":                  {"found", v.dir},
		"init needs --draft and --node":     {"init", filepath.Join(n.dir, "new")},
		"no draft of a ledger":              {"init", filepath.Join(n.dir, "new"), "--draft", draft, "--node", other},
		"bytes too long for the socket":     {"init", filepath.Join(n.dir, strings.Repeat("a", 100)), "--draft", draft, "--node", other},
		"is not the folder of a validator":  {"serve", other},
		"is none of the draft's members":    {"serve", stranger},
		"no validator runs on " + v.dir:     {"status", v.dir},
		"see carekey-ledger-cometbft help:": {"status"},
	} {
		var said bytes.Buffer
		if code := run(args, strings.NewReader(""), io.Discard, &said); code == 0 || !strings.Contains(said.String(), want) || strings.Count(said.String(), "\n") != 1 {
			t.Errorf("%v: %d, %s", args, code, said.String())
		}
	}
	if _, err := order.Start(n.ctx, "cometbft:"+v.dir, order.ProgramOptions{}); err == nil || !strings.Contains(err.Error(), "no validator runs on") {
		t.Errorf("%v", err)
	}
	if _, err := order.Start(n.ctx, "cometbft:", order.ProgramOptions{}); err == nil || !strings.Contains(err.Error(), "the URL is cometbft: and the folder") {
		t.Errorf("%v", err)
	}
	// Two at one time on one folder.
	v.start()
	if _, err := cometbft.Start(o); !errors.Is(err, cometbft.ErrRunning) {
		t.Errorf("%v", err)
	}
}
