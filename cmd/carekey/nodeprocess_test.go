package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// The node of these tests is a process of its own: the test program of
// cmd/carekey-node under the name carekey-node, whose clock can be set. The wallets
// are processes too.

// buildNode builds the node's program once.
var buildNode = sync.OnceValues(func() (string, error) {
	path := filepath.Join(builtDir, "carekey-node"+exeSuffix())
	build := exec.Command("go", "test", "-c", "-o", path, "./cmd/carekey-node")
	build.Dir = top()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// distantTown is a node behind a proxy, and a patient and a clinic with a home each.
type distantTown struct {
	t     *testing.T
	dir   string
	bin   string // of the node
	start time.Time
	proxy *proxy

	patience string   // of wallets with the node; "" is an hour
	sleeper  string   // whom wallets ask that wait; "" is nobody
	order    []string // variables with which all programs find an order's program and its clock

	said    string // by wallets on their standard error, so far
	again   int    // how often a wallet's command had to be finished by a later one
	fetched int    // consents that were opened
	node    *exec.Cmd
	ended   chan struct{} // closed when node has
	wallets struct {
		sync.Mutex
		running *exec.Cmd
	}
}

// townClock is when these tests are played, at a real clock's pace.
var townClock = time.Date(2026, 11, 21, 12, 2, 0, 0, time.UTC)

func (d *distantTown) clock() string {
	return testClock + "=" + townClock.Add(time.Since(d.start)).Format(time.RFC3339)
}

// newDistantTown makes a node behind a proxy, and the wallets. The node keeps its
// order itself or, if order is set, has it from the example backend.
func newDistantTown(t *testing.T, order bool) *distantTown {
	t.Helper()
	d := newDistance(t)
	d.proxy = newProxy(t)
	made := []string{"init", "ledger", "--name", "City ledger", "--url", d.proxy.URL}
	if order {
		example := filepath.Join(top(), "ledgerclient", "ledgertest", "testdata")
		clock := filepath.Join(d.dir, "clock")
		d.must(os.WriteFile(clock, strconv.AppendInt(nil, townClock.Unix()/3600, 10), 0o600))
		d.order = []string{"PATH=" + example + string(filepath.ListSeparator) + os.Getenv("PATH"), "EXAMPLE_CLOCK=" + clock}
		made = append(made, "--order", "example:"+filepath.Join(d.dir, "order"))
	}
	d.operator(made...)
	d.proxy.aim(d.serve("--no-tls"))
	t.Cleanup(d.kill)
	invitation := strings.TrimSpace(string(d.operator("invite", "ledger")))
	addresses := map[string]string{}
	for who, name := range map[string]string{"patient": "Maria", "clinic": "Dr Smith"} {
		addresses[who] = strings.TrimSpace(d.mustRun(who, "init", "--name", name, "--ledger", invitation, "--words-file", filepath.Join(d.dir, who+".words")))
	}
	d.mustRun("patient", "contact", "add", "Dr Smith", addresses["clinic"])
	d.mustRun("clinic", "contact", "add", "Maria", addresses["patient"])
	d.must(os.WriteFile(filepath.Join(d.dir, "allergies.txt"), []byte("Penicillin: anaphylaxis, 2009\n"), 0o600))
	d.mustRun("patient", "record", "add", "allergies.txt")
	return d
}

// newDistance is a place for a node and wallets that have nothing in common.
func newDistance(t *testing.T) *distantTown {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		missing(t, "go is not in PATH to build the node with", err)
	}
	bin, err := buildNode()
	if err != nil {
		t.Fatal(err)
	}
	d := newHomes(t)
	d.bin = bin
	return d
}

// newHomes is a place for wallets.
func newHomes(t *testing.T) *distantTown {
	t.Helper()
	d := &distantTown{t: t, dir: t.TempDir(), start: time.Now()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.must(os.Mkdir(filepath.Join(d.dir, "bin"), 0o700))
	if err := os.Symlink(self, filepath.Join(d.dir, "bin", "carekey")); err != nil {
		missing(t, "no symbolic links here", err)
	}
	for _, who := range []string{"patient", "clinic"} {
		d.must(os.WriteFile(filepath.Join(d.dir, who+".passphrase"), []byte("horse of "+who+"\n"), 0o600))
	}
	return d
}

func (d *distantTown) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// operator runs the node's program to its end.
func (d *distantTown) operator(args ...string) []byte {
	d.t.Helper()
	c := exec.Command(d.bin, args...)
	var stderr bytes.Buffer
	c.Dir, c.Stderr, c.Env = d.dir, &stderr, append(append(os.Environ(), d.clock()), d.order...)
	out, err := c.Output()
	if err != nil {
		d.t.Fatalf("carekey-node %s: %v: %s", args[0], err, stderr.Bytes())
	}
	return out
}

// serve starts the node at any port and returns its URL.
func (d *distantTown) serve(args ...string) string {
	d.t.Helper()
	c := exec.Command(d.bin, append([]string{"serve", "ledger", "--listen", "127.0.0.1:0"}, args...)...)
	var log bytes.Buffer
	c.Dir, c.Stderr, c.Env = d.dir, &log, append(append(os.Environ(), d.clock()), d.order...)
	out, err := c.StdoutPipe()
	d.must(err)
	d.must(c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	d.node, d.ended = c, make(chan struct{})
	go func(ended chan struct{}) {
		c.Wait()
		close(ended)
	}(d.ended)
	if !ok {
		d.kill()
		d.t.Fatalf("the node says %q, %v: %s", line, err, log.Bytes())
	}
	return url
}

// kill ends the node at once, as a power failure does to a process.
func (d *distantTown) kill() {
	d.node.Process.Kill()
	<-d.ended
}

// env are the variables of a wallet's command.
func (d *distantTown) env(who string) (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CAREKEY_") {
			env = append(env, v)
		}
	}
	env = append(env, d.clock(), "TZ=UTC", envHome+"="+filepath.Join(d.dir, who), envKeyring+"=file", envPassphrase+"="+filepath.Join(d.dir, who+".passphrase"))
	env = append(env, d.order...)
	if d.patience != "" {
		env = append(env, testPatience+"="+d.patience)
	}
	if d.sleeper != "" {
		env = append(env, testSleeper+"="+d.sleeper)
	}
	return env
}

// run runs a wallet's command and returns its exit code and output.
func (d *distantTown) run(who string, args ...string) (code int, stdout, stderr string) {
	d.t.Helper()
	c := exec.Command(filepath.Join(d.dir, "bin", "carekey"), args...)
	var out, talk bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = d.dir, &out, &talk
	c.Env = d.env(who)
	d.must(c.Start())
	d.wallets.Lock()
	d.wallets.running = c
	d.wallets.Unlock()
	c.Wait()
	d.wallets.Lock()
	d.said += talk.String()
	d.wallets.Unlock()
	return c.ProcessState.ExitCode(), out.String(), talk.String()
}

// killWallet ends the wallet that is running.
func (d *distantTown) killWallet() {
	d.wallets.Lock()
	defer d.wallets.Unlock()
	d.wallets.running.Process.Kill()
}

func (d *distantTown) mustRun(who string, args ...string) string {
	d.t.Helper()
	code, out, talk := d.run(who, args...)
	if code != 0 {
		d.t.Fatalf("%s %s: exit %d\n%s%s", who, strings.Join(args, " "), code, out, talk)
	}
	return out
}

// list runs a command whose JSON is a list, and returns it.
func (d *distantTown) list(who string, args ...string) []map[string]any {
	d.t.Helper()
	var all []map[string]any
	d.must(json.Unmarshal([]byte(d.mustRun(who, append(args, "--json")...)), &all))
	return all
}

// TestLaptopToServer is the way of a ledger from a laptop to a server: three commands
// of the operator, one of each person. Nothing but an invitation and two addresses goes
// from home to home, the connection is pinned, and the gate is enforced.
func TestLaptopToServer(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	d := newDistance(t)
	patient := strings.TrimSpace(d.mustRun("patient", "init", "--name", "Maria", "--new-ledger", "--words-file", filepath.Join(d.dir, "p.words")))
	clinic := strings.TrimSpace(d.mustRun("clinic", "init", "--name", "Dr Smith", "--new-ledger", "--words-file", filepath.Join(d.dir, "c.words")))

	d.operator("init", "ledger", "--name", "City ledger")
	url := d.serve("--listen", freeAddress(t))
	t.Cleanup(d.kill)
	invitation := strings.TrimSpace(string(d.operator("invite", "ledger", "--url", url, "--token", "town", "--yes")))
	for _, who := range []string{"patient", "clinic"} {
		code, _, talk := d.run(who, "ledger", "join", invitation, "--default", "--yes")
		if code != 0 || !strings.Contains(talk, "City ledger") {
			t.Fatalf("join: exit %d\n%s", code, talk)
		}
	}

	d.mustRun("patient", "contact", "add", "Dr Smith", clinic)
	d.mustRun("clinic", "contact", "add", "Maria", patient)
	d.must(os.WriteFile(filepath.Join(d.dir, "allergies.txt"), []byte("Penicillin\n"), 0o600))
	d.mustRun("patient", "record", "add", "allergies.txt")
	share := strings.TrimSpace(d.mustRun("patient", "grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes"))
	d.mustRun("clinic", "fetch", share, "--flat", "-o", "got", "--reason", "check-up")
	if got, err := os.ReadFile(filepath.Join(d.dir, "got", "allergies.txt")); err != nil || string(got) != "Penicillin\n" {
		t.Errorf("fetched %q, %v", got, err)
	}
	if audit := d.list("patient", "audit"); len(audit) != 2 || audit[1]["reason"] != "check-up" {
		t.Errorf("audit: %v", audit)
	}
	if info := d.mustRun("patient", "ledger", "info"); !strings.Contains(info, "gate: enforced") {
		t.Errorf("info: %s", info)
	}

	// Somebody at the node's address with another TLS key is nobody, whatever else
	// they have of the node.
	d.kill()
	d.must(os.Remove(filepath.Join(d.dir, "ledger", "node.json")))
	d.operator("init", "ledger")
	d.serve("--listen", strings.TrimPrefix(url, "https://"))
	code, _, talk := d.run("clinic", "fetch", share, "--flat", "-o", "got", "--json")
	var said struct{ Error failure }
	if err := json.Unmarshal([]byte(talk), &said); err != nil || code == 0 {
		t.Errorf("another TLS key: exit %d\n%s", code, talk)
	}
	if code != cli.ExitTampered || said.Error.Code != "node-certificate" {
		t.Errorf("another TLS key: exit %d %s: %s", code, said.Error.Code, said.Error.Message)
	}
	d.operator("backup", "ledger", "copy")
}

// interrupted is a fault of the network, or the death of a process.
type interrupted struct {
	fault proxyFault
	dies  string // "node", "wallet" or nobody; or the node is only "paused"
}

var interruptions = []interrupted{
	{faultDrop, ""}, {faultLose, ""}, {faultTruncate, ""}, {faultDuplicate, ""}, {faultDelay, ""}, {faultLate, ""},
	{faultBefore, "node"}, {faultAfter, "node"}, {faultBefore, "wallet"}, {faultAfter, "wallet"},
	{faultPartition, ""}, {faultBefore, "paused"},
}

// under runs a command during which one of its requests is interrupted. What is
// said must be done, or a failure with a name; then the world is whole again.
func (d *distantTown) under(i interrupted, at int, who string, args ...string) (done bool) {
	d.t.Helper()
	nodeDied := false
	if i.dies == "paused" {
		if stopProcess == nil {
			return false // this system cannot
		}
		d.patience = "300ms"
		defer func() { d.patience = "" }()
	}
	d.proxy.arm(i.fault, at, func() {
		switch i.dies {
		case "node":
			d.kill()
			nodeDied = true
		case "wallet":
			d.killWallet()
		case "paused":
			d.must(stopProcess(d.node.Process))
		}
	})
	code, out, talk := d.run(who, append(args, "--json")...)
	what := fmt.Sprintf("%s (%s dies), %s %s", d.proxy, i.dies, who, args[0])
	d.proxy.arm(faultNone, 0, nil)
	if i.dies == "paused" {
		d.must(continueProcess(d.node.Process))
	}
	if nodeDied {
		d.proxy.aim(d.serve("--no-tls"))
	}
	if code != 0 && code != -1 { // -1: it was killed
		var said struct{ Error failure }
		lines := strings.Split(strings.TrimSpace(talk), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &said); err != nil || said.Error.Message == "" {
			d.t.Errorf("%s: exit %d without words\n%s%s", what, code, out, talk)
		}
		switch code {
		case cli.ExitUnreachable, cli.ExitPartly, cli.ExitTampered:
		default:
			d.t.Errorf("%s: exit %d %s: %s", what, code, said.Error.Code, said.Error.Message)
		}
		d.t.Logf("%s: %s", what, said.Error.Code)
	} else {
		d.t.Logf("%s: exit %d", what, code)
	}
	return code == 0
}

// TestInterruptedAtANode interrupts grant, fetch and revoke at one of their requests
// each time: by a network that drops, delays, duplicates, truncates and reorders, or is
// gone from then on, by a node that stands still, and by kill -9 of the node and of the
// wallets. Afterwards every change is there once. Rounds beyond the table are random.
func TestInterruptedAtANode(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	rounds := lane.Pick(60, len(interruptions), len(interruptions))
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		playInterruptions(t, newDistantTown(t, false), rounds, 4)
	})
	t.Run("order", func(t *testing.T) {
		t.Parallel()
		if _, err := exec.LookPath("python3"); err != nil {
			missing(t, "python3 is not installed", err)
		}
		playInterruptions(t, newDistantTown(t, true), (rounds+2)/3, 5)
	})
}

// playInterruptions plays rounds of grant, fetch and revoke.
func playInterruptions(t *testing.T, d *distantTown, rounds int, seed uint64) {
	// How many requests each takes when nothing happens.
	counts := map[string]int{}
	counted := func(op, who string, args ...string) string {
		d.proxy.arm(faultNone, 0, nil)
		out := d.mustRun(who, args...)
		counts[op] = d.proxy.counted()
		return out
	}
	grant := []string{"grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes"}
	counted("grant", "patient", grant...)
	consent := d.list("patient", "consent", "list")[0]["consent"].(string)
	counted("fetch", "clinic", "fetch", consent, "--flat", "-o", "got")
	counted("revoke", "patient", "revoke", consent, "--yes")
	t.Logf("requests: %v", counts)
	r := rand.New(rand.NewPCG(seed, seed))
	known := map[string]bool{consent: true}
	for round := range rounds {
		i := interruptions[(round+int(seed))%len(interruptions)]
		d.under(i, 1+r.IntN(counts["grant"]), "patient", grant...)
		d.mustRun("patient", "sync")
		all := d.list("patient", "consent", "list")
		if len(all) != len(known)+1 {
			// Nothing was signed yet when it was interrupted: that is for the person to do again.
			if len(all) != len(known) {
				t.Fatalf("round %d: %d consents, not %d", round, len(all), len(known)+1)
			}
			d.mustRun("patient", grant...)
			all = d.list("patient", "consent", "list")
		}
		consent := ""
		for _, c := range all {
			if id := c["consent"].(string); !known[id] {
				consent, known[id] = id, true
			}
		}
		if len(known) != len(all) {
			t.Fatalf("round %d: %d consents, not %d", round, len(all), len(known))
		}
		i = interruptions[(round+int(seed)+3)%len(interruptions)]
		if !d.under(i, 1+r.IntN(counts["fetch"]), "clinic", "fetch", consent, "--flat", "-o", "got") {
			d.mustRun("clinic", "fetch", consent, "--flat", "-o", "got")
		}
		got, err := os.ReadFile(filepath.Join(d.dir, "got", "allergies.txt"))
		if err != nil || string(got) != "Penicillin: anaphylaxis, 2009\n" {
			t.Fatalf("round %d: fetched %q, %v", round, got, err)
		}
		d.must(os.RemoveAll(filepath.Join(d.dir, "got")))
		i = interruptions[(round+int(seed)+6)%len(interruptions)]
		if !d.under(i, 1+r.IntN(counts["revoke"]), "patient", "revoke", consent, "--yes") {
			d.mustRun("patient", "revoke", consent, "--yes") // again: a no-op, or now
		}
		d.mustRun("patient", "sync")
		events := map[string]int{}
		for _, e := range d.list("patient", "audit") {
			if e["consent"] == consent {
				events[e["what"].(string)]++
			}
		}
		if events["granted"] != 1 || events["opened"] != 1 || events["revoked"] != 1 {
			t.Fatalf("round %d: %v", round, events)
		}
	}
	d.mustRun("patient", "ledger", "verify")
	d.operator("backup", "ledger", "copy")
}
