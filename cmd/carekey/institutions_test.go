package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// institutions are the nodes of one ledger as processes, over an order that the example
// program keeps, and a patient's wallet with the first of them.
type institutions struct {
	*distantTown
	addresses []string
	nodes     []*exec.Cmd // nil: it does not run
}

// newInstitutions founds a ledger of so many as its operators do, and serves it.
func newInstitutions(t *testing.T, count int) *institutions {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		missing(t, "python3 is not installed", err)
	}
	d := &institutions{newDistance(t), nil, make([]*exec.Cmd, count)}
	clock := filepath.Join(d.dir, "clock")
	d.must(os.WriteFile(clock, strconv.AppendInt(nil, townClock.Unix()/3600, 10), 0o600))
	example := filepath.Join(top(), "ledgerclient", "ledgertest", "testdata")
	d.order = []string{"PATH=" + example + string(filepath.ListSeparator) + os.Getenv("PATH"), "EXAMPLE_CLOCK=" + clock}
	draft := []string{"found", "draft", "--name", "Region ledger"}
	for i := range count {
		d.addresses = append(d.addresses, freeAddress(t))
		line := d.operator("found", "line", d.folder(i), "--as", fmt.Sprint("Institution ", i+1), "--url", "https://"+d.addresses[i])
		d.must(os.WriteFile(filepath.Join(d.dir, d.folder(i)+".line"), line, 0o600))
		draft = append(draft, d.folder(i)+".line")
	}
	d.must(os.WriteFile(filepath.Join(d.dir, "draft"), d.operator(draft...), 0o600))
	var shown struct{ Ledger string }
	d.must(json.Unmarshal(d.operator("found", "show", "draft", "--json"), &shown))
	for i := range count {
		d.operator("found", "node", d.folder(i), "draft", "--id", shown.Ledger, "--order", "example:"+filepath.Join(d.dir, "order"))
	}
	for i := range count {
		d.serve(i)
	}
	d.agree(1)
	return d
}

func (d *institutions) folder(i int) string { return fmt.Sprint("node", i+1) }

// serve starts a node.
func (d *institutions) serve(i int) {
	d.t.Helper()
	c := exec.Command(d.bin, "serve", d.folder(i), "--listen", d.addresses[i])
	var log bytes.Buffer
	c.Dir, c.Stderr, c.Env = d.dir, &log, append(append(os.Environ(), d.clock()), d.order...)
	out, err := c.StdoutPipe()
	d.must(err)
	d.must(c.Start())
	d.nodes[i] = c
	d.t.Cleanup(func() { d.kill(i) })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		d.t.Fatalf("node %d says %q, %v: %s", i+1, line, err, log.Bytes())
	}
}

// kill ends a node at once.
func (d *institutions) kill(i int) {
	if c := d.nodes[i]; c != nil {
		c.Process.Kill()
		c.Wait()
		d.nodes[i] = nil
	}
}

// agree waits until all nodes have signed a head of so many entries at least, as the first one
// shows it, and returns how many it has.
func (d *institutions) agree(entries uint64) uint64 {
	d.t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	var note []byte
	for limit := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		answer, err := client.Get("https://" + d.addresses[0] + node.PathCheckpoint)
		d.must(err)
		note, err = io.ReadAll(answer.Body)
		answer.Body.Close()
		d.must(err)
		if head, err := ledgerclient.Unverified(note); err == nil && head.Size >= entries && bytes.Count(note, []byte("/time ")) == len(d.nodes) {
			return head.Size
		}
		if time.Now().After(limit) {
			d.t.Fatalf("%d nodes have not signed %d entries: %s", len(d.nodes), entries, note)
		}
	}
}

// Several institutions keep one ledger, each with a process of its own: a wallet takes what
// all whose signatures it takes have signed. With too few, what it ordered waits, and is
// finished when they are back.
func TestInstitutions(t *testing.T) {
	d := newInstitutions(t, 3)
	invitation := strings.TrimSpace(string(d.operator("invite", d.folder(0))))
	d.mustRun("patient", "init", "--name", "Maria", "--ledger", invitation, "--words-file", filepath.Join(d.dir, "words"))
	add := func(name string) []string {
		d.must(os.WriteFile(filepath.Join(d.dir, name), []byte(name+"\n"), 0o600))
		return []string{"record", "add", name}
	}
	code, _, talk := d.run("patient", add("first")...)
	for limit := time.Now().Add(2 * time.Minute); code == cli.ExitUnreachable && time.Now().Before(limit); { // on a slow machine nodes wait in vain
		code, _, talk = d.run("patient", "sync")
	}
	if code != 0 {
		t.Fatalf("exit %d: %s", code, talk)
	}
	if out := d.mustRun("patient", "ledger", "info"); !strings.Contains(out, "signed by 3 of its 3 nodes") {
		t.Error(out)
	}
	d.mustRun("patient", "ledger", "verify")
	entries := d.agree(1)

	d.kill(2)
	if code, _, talk := d.run("patient", add("second")...); code != cli.ExitUnreachable || !strings.Contains(talk, "waits in your wallet: the ledger cannot be reached: not enough nodes have signed it yet") {
		t.Errorf("with one away: exit %d: %s", code, talk)
	}
	d.serve(2)
	d.agree(entries + 1)
	if _, _, talk := d.run("patient", "status"); strings.Contains(talk, "waits") {
		t.Error(talk)
	}
	if all := d.list("patient", "record", "list"); len(all) != 2 {
		t.Errorf("%d records: %v", len(all), all)
	}
	d.mustRun("patient", "ledger", "verify")
}

// reached waits until each node knows where all are reached.
func (d *institutions) reached() {
	d.t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	limit := time.Now().Add(2 * time.Minute)
	for i := range d.nodes {
		for {
			answer, err := client.Get("https://" + d.addresses[i] + node.PathSites)
			d.must(err)
			raw, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			d.must(err)
			if sites, err := node.SitesForm.Parse(raw); err == nil && len(sites) == len(d.nodes) {
				break
			}
			if time.Now().After(limit) {
				d.t.Fatalf("node %d does not know where all are reached", i+1)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// Promises 3, 4 and 8 where four institutions keep the ledger, two of whose keepers open what is
// granted: each of them has its share, and with one institution away, be it the one whose
// invitation a wallet has, all of it goes on.
func TestKeepersOfInstitutions(t *testing.T) {
	d := newInstitutions(t, 4)
	d.reached()
	addresses := map[string]string{}
	for i, who := range []string{"patient", "clinic"} {
		invitation := strings.TrimSpace(string(d.operator("invite", d.folder(i))))
		addresses[who] = strings.TrimSpace(d.mustRun(who, "init", "--name", who, "--ledger", invitation, "--words-file", filepath.Join(d.dir, who+".words")))
	}
	d.mustRun("patient", "contact", "add", "Dr Smith", addresses["clinic"])
	d.mustRun("clinic", "contact", "add", "Maria", addresses["patient"])
	give := func(name string) (code, consent string) {
		t.Helper()
		d.must(os.WriteFile(filepath.Join(d.dir, name), []byte(name+"\n"), 0o600))
		d.mustRun("patient", "record", "add", name)
		records := d.list("patient", "record", "list")
		var given struct{ Consent, Code string }
		d.must(json.Unmarshal([]byte(d.mustRun("patient", "grant", "--to", "Dr Smith", "--record", records[len(records)-1]["id"].(string), "--for", "30d", "--yes", "--json")), &given))
		return given.Code, given.Consent
	}
	fetch := func(code, name string) {
		t.Helper()
		d.mustRun("clinic", "fetch", code, "--flat", "-o", "got", "--reason", "check-up")
		if got, err := os.ReadFile(filepath.Join(d.dir, "got", name)); err != nil || string(got) != name+"\n" {
			t.Errorf("fetched %q, %v", got, err)
		}
	}
	code, first := give("first")
	if out := d.mustRun("patient", "consent", "show", first); !strings.Contains(out, "any 2 of 4 give the key to an opening") {
		t.Error(out)
	}
	if out := d.mustRun("patient", "ledger", "info"); !strings.Contains(out, "gate: enforced, by several operators. Two of them") {
		t.Error(out)
	}
	fetch(code, "first")

	d.kill(0) // whose invitation the patient has
	code, second := give("second")
	if out := d.mustRun("patient", "consent", "show", second); !strings.Contains(out, "3 of 4 keepers hold shares") {
		t.Error(out)
	}
	fetch(code, "second")
	d.mustRun("patient", "ledger", "verify")
	out := d.mustRun("patient", "revoke", second, "--yes")
	if !strings.Contains(out, "at 3 of 4 keepers") || !strings.Contains(out, "no word of") {
		t.Error(out)
	}
	if code, _, talk := d.run("clinic", "fetch", code, "-o", "again"); code != cli.ExitRefused {
		t.Errorf("exit %d: %s", code, talk)
	}
	if code, out, talk := d.run("patient", "audit"); code != cli.ExitPartly || strings.Count(out, "check-up") != 2 || !strings.Contains(talk, "Keeper 1 ") {
		t.Errorf("exit %d: %s%s", code, out, talk)
	}

	d.serve(0)
	d.kill(1) // whose invitation the clinic has
	code, _ = give("third")
	fetch(code, "third")
}
