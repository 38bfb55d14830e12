package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

const (
	engine = "carekey-ledger-cometbft"
	// envEngine names the folder with it, as .ci/run builds it.
	envEngine = "CAREKEY_COMETBFT"
)

// engineInstitutions are those of a devnet, each with a validator of its own, by the clock of
// the computer.
type engineInstitutions struct {
	*institutions
	validators []*exec.Cmd // nil: it does not run
}

func newEngineInstitutions(t *testing.T) *engineInstitutions {
	t.Helper()
	if os.Getenv(envEngine) == "" {
		missing(t, "the engine is not built", errors.New(envEngine+" is not set"))
	}
	d := &engineInstitutions{institutions: &institutions{distantTown: newDistance(t)}}
	d.start = townClock // so that the clock of all is the computer's, as the engine's is
	d.order = []string{"PATH=" + strings.Join([]string{os.Getenv(envEngine), filepath.Dir(d.bin), os.Getenv("PATH")}, string(filepath.ListSeparator))}
	c := exec.Command(d.bin, "devnet", d.dir, "--idle", "--json")
	var log bytes.Buffer
	c.Dir, c.Stderr, c.Env = d.dir, &log, append(append(os.Environ(), d.clock()), d.order...)
	out, err := c.StdoutPipe()
	d.must(err)
	d.must(c.Start())
	var net struct{ Members []struct{ URL string } }
	err = json.NewDecoder(out).Decode(&net)
	c.Process.Signal(syscall.SIGTERM)
	if werr := c.Wait(); err != nil || werr != nil {
		t.Fatalf("devnet: %v, %v: %s", err, werr, log.Bytes())
	}
	d.nodes, d.validators = make([]*exec.Cmd, len(net.Members)), make([]*exec.Cmd, len(net.Members))
	for _, m := range net.Members {
		u, err := url.Parse(m.URL)
		d.must(err)
		d.addresses, d.metrics = append(d.addresses, u.Host), append(d.metrics, freeAddress(t))
	}
	for i := range net.Members {
		d.decide(i)
	}
	for i := range net.Members {
		d.serve(i)
	}
	d.agree(1)
	d.reached()
	return d
}

// decide starts a validator, which waits two seconds for the others.
func (d *engineInstitutions) decide(i int) {
	d.t.Helper()
	c := exec.Command(filepath.Join(os.Getenv(envEngine), engine), "serve", d.validator(i), "--wait", "2s")
	c.Dir = d.dir
	out, err := c.StdoutPipe()
	d.must(err)
	d.must(c.Start())
	d.validators[i] = c
	d.t.Cleanup(func() { d.lose(i) })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		d.t.Fatalf("validator %d: %v", i+1, err)
	}
}

func (d *engineInstitutions) validator(i int) string {
	return strings.Replace(d.folder(i), "node", "validator", 1)
}

// lose ends what an institution runs, at once.
func (d *engineInstitutions) lose(i int) {
	d.kill(i)
	if c := d.validators[i]; c != nil {
		c.Process.Kill()
		c.Wait()
		d.validators[i] = nil
	}
}

// back starts it again.
func (d *engineInstitutions) back(i int) {
	d.t.Helper()
	d.decide(i)
	d.serve(i)
}

// decides waits until a validator says that so many decide.
func (d *engineInstitutions) decides(i int, words string) {
	d.t.Helper()
	for limit := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c := exec.Command(filepath.Join(os.Getenv(envEngine), engine), "status", d.validator(i))
		c.Dir = d.dir
		out, err := c.CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), words) {
			return
		}
		if time.Now().After(limit) {
			d.t.Fatalf("validator %d says %s", i+1, out)
		}
	}
}

// sees waits until the operator of a node sees a number.
func (d *engineInstitutions) sees(i int, name string, want float64) {
	d.t.Helper()
	for limit := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got, said := d.gauge(i, name)
		if said && got == want {
			return
		}
		if time.Now().After(limit) {
			d.t.Fatalf("node %d says %s %v (%v), not %v", i+1, name, got, said, want)
		}
	}
}

// Promises 3, 4 and 8 where four institutions keep the order too: with one gone all of it goes
// on; with two nothing is ordered, which is said, what was signed waits, and keepers stop what
// they are told to stop; and when all are back, everything that waited is on the ledger once.
func TestEngine(t *testing.T) {
	lane.OneGoroutine(t)
	d := newEngineInstitutions(t)
	p := d.people(0, 1)
	first := p.give("first")
	p.fetch(first)
	all := p.costs("weighed", d.requests)

	d.lose(3)
	d.decides(0, "3 of 4 decide; Patients is missing since ")
	p.compares(all, p.costs("weighed again", d.requests))
	second := p.give("second")
	p.fetch(second)
	if code, out, talk := d.run("patient", "audit"); code != cli.ExitPartly || strings.Count(out, "check-up") != d.fetched || !strings.Contains(talk, "Keeper 4 ") {
		t.Errorf("exit %d: %s%s", code, out, talk)
	}
	if out := d.mustRun("patient", "revoke", second.consent, "--yes"); !strings.Contains(out, "at 3 of 4 keepers") {
		t.Error(out)
	}
	p.refused(second)
	entries := p.entries()

	d.lose(2)
	d.decides(0, "2 of 4 decide, and 3 are needed: nothing is ordered")
	d.said = ""
	third := p.waits("third")
	if !strings.Contains(d.said, "the ledger does not decide at the moment: too few of those who keep") {
		t.Error(d.said)
	}
	for _, look := range [][]string{{"status"}, {"ledger", "info"}} { // what the wallet knows of it, it says
		if _, out, talk := d.run("patient", look...); !strings.Contains(talk, "1 record waits: the ledger does not decide at the moment. To send it again now: carekey sync") {
			t.Errorf("%s: %s%s", look, out, talk)
		}
	}
	d.sees(0, "carekey_order_decides", 0) // and an operator, whoever submits
	if code, out, talk := d.run("patient", "revoke", first.consent, "--yes"); code != cli.ExitUnreachable || !strings.Contains(out+talk, "at 2 of 4 keepers") {
		t.Errorf("exit %d: %s%s", code, out, talk)
	}
	p.shut(first)

	d.back(2)
	d.back(3)
	d.decides(3, "4 of 4 decide")
	if got := p.entries(); got != entries+2 { // the third record, the revocation
		t.Errorf("%d entries, not %d", got, entries+2)
	}
	if got := d.agree(entries + 2); got != entries+2 {
		t.Errorf("%d entries are signed by all, not %d", got, entries+2)
	}
	for i := range d.nodes {
		d.sees(i, "carekey_order_decides", 1)
		d.sees(i, "carekey_order_waits_seconds", 0)
	}
	d.mustRun("patient", "ledger", "verify")
	p.refused(first)
	p.fetch(p.grant(third))
	if out := d.mustRun("patient", "audit"); strings.Count(out, "  revoked  ") != d.fetched-1 || strings.Count(out, "check-up") != d.fetched {
		t.Error(out)
	}
}
