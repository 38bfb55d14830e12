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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// institutions are the nodes of one ledger as processes, over an order that the example
// program keeps, and a patient's wallet with the first of them.
type institutions struct {
	*distantTown
	addresses []string
	metrics   []string
	nodes     []*exec.Cmd // nil: it does not run
}

// newInstitutions founds a ledger of so many as its operators do, and serves it.
func newInstitutions(t *testing.T, count int) *institutions {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		missing(t, "python3 is not installed", err)
	}
	d := &institutions{distantTown: newDistance(t), nodes: make([]*exec.Cmd, count)}
	clock := filepath.Join(d.dir, "clock")
	d.must(os.WriteFile(clock, strconv.AppendInt(nil, townClock.Unix()/3600, 10), 0o600))
	example := filepath.Join(top(), "ledgerclient", "ledgertest", "testdata")
	d.order = []string{"PATH=" + example + string(filepath.ListSeparator) + os.Getenv("PATH"), "EXAMPLE_CLOCK=" + clock}
	draft := []string{"found", "draft", "--name", "Region ledger"}
	for i := range count {
		d.addresses, d.metrics = append(d.addresses, freeAddress(t)), append(d.metrics, freeAddress(t))
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
	c := exec.Command(d.bin, "serve", d.folder(i), "--listen", d.addresses[i], "--metrics", d.metrics[i])
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
// all whose signatures it takes have signed. With too few, what it ordered waits, keepers
// stop what they are told to stop, and when they are back all of it is on the ledger once.
func TestInstitutions(t *testing.T) {
	t.Parallel()
	d := newInstitutions(t, 3)
	d.reached()
	p := d.people(0, 1)
	first := p.give("first")
	p.fetch(first)
	if out := d.mustRun("patient", "ledger", "info"); !strings.Contains(out, "signed by 3 of its 3 nodes") {
		t.Error(out)
	}
	d.mustRun("patient", "ledger", "verify")
	entries := p.entries()

	d.kill(2)
	if code, out, talk := d.run("patient", "revoke", first.consent, "--yes"); code != cli.ExitUnreachable || !strings.Contains(out+talk, "signed, and it waits: it is ordered, as the ledger's node says, and not enough of the ledger's nodes have signed that yet") || !strings.Contains(out+talk, "at 2 of 3 keepers") {
		t.Errorf("with one away: exit %d: %s%s", code, out, talk)
	}
	p.shut(first)
	second := p.waits("second")
	d.serve(2)
	if got := p.entries(); got != entries+2 { // the revocation, the second record
		t.Errorf("%d entries, not %d", got, entries+2)
	}
	if got := d.agree(entries + 2); got != entries+2 {
		t.Errorf("%d entries are signed by all, not %d", got, entries+2)
	}
	p.refused(first)
	p.fetch(p.grant(second))
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

// requests is how many the nodes that run have answered, but for what they ask each other.
func (d *institutions) requests() (n int) {
	d.t.Helper()
	for i, c := range d.nodes {
		if c == nil {
			continue
		}
		answer, err := http.Get("http://" + d.metrics[i] + "/metrics")
		d.must(err)
		raw, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		d.must(err)
		for _, m := range regexp.MustCompile(`(?m)^carekey_requests_total\{route="([a-z-]+)",.*\} (\d+)$`).FindAllStringSubmatch(string(raw), -1) {
			if !slices.Contains([]string{"cosign", "withdrawn", "sites", "copies"}, m[1]) {
				k, err := strconv.Atoi(m[2])
				d.must(err)
				n += k
			}
		}
	}
	return n
}

// people are the patient and the clinic on a ledger of institutions.
type people struct{ *distantTown }

// granted is a consent to the one record of that name.
type granted struct{ name, consent, code string }

// people makes the wallets, each with the invitation of an institution.
func (d *institutions) people(patient, clinic int) people {
	d.t.Helper()
	return d.meet(strings.TrimSpace(string(d.operator("invite", d.folder(patient)))), strings.TrimSpace(string(d.operator("invite", d.folder(clinic)))))
}

// meet makes the wallets of who was invited, and lets them know of each other.
func (d *distantTown) meet(patient, clinic string) people {
	d.t.Helper()
	addresses := map[string]string{}
	for who, invitation := range map[string]string{"patient": patient, "clinic": clinic} {
		addresses[who] = strings.TrimSpace(d.mustRun(who, "init", "--name", who, "--ledger", invitation, "--words-file", filepath.Join(d.dir, who+".words")))
	}
	d.does("patient", "contact", "add", "Dr Smith", addresses["clinic"])
	d.does("clinic", "contact", "add", "Maria", addresses["patient"])
	return people{d}
}

// does runs a command that is to do all it was told, also where nodes are so slow that it has to be
// finished by a later one.
func (d *distantTown) does(who string, args ...string) string {
	d.t.Helper()
	code, out, talk := d.run(who, args...)
	for limit := time.Now().Add(2 * time.Minute); code == cli.ExitUnreachable && time.Now().Before(limit); {
		d.again++
		code, _, talk = d.run(who, "sync")
	}
	if code != 0 {
		d.t.Fatalf("%s %v: exit %d: %s%s", who, args, code, out, talk)
	}
	return out
}

// until runs a command once more, after a sync, as long as it does not say all that: a node or a
// keeper that is slow may not have done its part.
func (d *distantTown) until(says []string, who string, args ...string) (code int, out, talk string) {
	d.t.Helper()
	for limit := time.Now().Add(2 * time.Minute); ; {
		code, out, talk = d.run(who, args...)
		missing := slices.DeleteFunc(slices.Clone(says), func(s string) bool { return strings.Contains(out+talk, s) })
		if len(missing) == 0 {
			return code, out, talk
		}
		if time.Now().After(limit) {
			d.t.Fatalf("%s %v: exit %d, and it does not say %q: %s%s", who, args, code, missing, out, talk)
		}
		d.run(who, "sync")
	}
}

// give grants a new record.
func (p people) give(name string) granted {
	p.t.Helper()
	p.must(os.WriteFile(filepath.Join(p.dir, name), []byte(name+"\n"), 0o600))
	p.does("patient", "record", "add", name)
	return p.grant(name)
}

// waits makes a new record that waits in the wallet, because nothing is ordered, or nothing
// that is holds.
func (p people) waits(name string) string {
	p.t.Helper()
	p.must(os.WriteFile(filepath.Join(p.dir, name), []byte(name+"\n"), 0o600))
	code, _, talk := p.run("patient", "record", "add", name)
	if code != cli.ExitUnreachable || !strings.Contains(talk, "signed, and it waits: ") {
		p.t.Errorf("exit %d: %s", code, talk)
	}
	return name
}

// grant grants a record.
func (p people) grant(name string) granted {
	p.t.Helper()
	all := p.list("patient", "record", "list")
	i := slices.IndexFunc(all, func(r map[string]any) bool { return r["title"] == name })
	if i < 0 {
		p.t.Fatalf("no record %q: %v", name, all)
	}
	var g struct{ Consent, Code string }
	p.must(json.Unmarshal([]byte(p.does("patient", "grant", "--to", "Dr Smith", "--record", all[i]["id"].(string), "--for", "30d", "--yes", "--json")), &g))
	return granted{name, g.Consent, g.Code}
}

// fetch opens what was given.
func (p people) fetch(g granted) {
	p.t.Helper()
	code, _, talk := p.run("clinic", "fetch", g.code, "--flat", "-o", "got", "--reason", "check-up")
	for limit := time.Now().Add(2 * time.Minute); code == cli.ExitUnreachable && time.Now().Before(limit); {
		p.again++
		code, _, talk = p.run("clinic", "fetch", g.code, "--flat", "-o", "got", "--reason", "check-up")
	}
	if code != 0 {
		p.t.Fatalf("exit %d: %s", code, talk)
	}
	if got, err := os.ReadFile(filepath.Join(p.dir, "got", g.name)); err != nil || string(got) != g.name+"\n" {
		p.t.Errorf("fetched %q, %v", got, err)
	}
	p.fetched++
}

// costs is what it takes to grant, fetch, revoke and audit, in requests that are answered, as answered
// counts them, while no node is so slow that something has to be done again.
func (p people) costs(name string, answered func() int) (requests [4]int) {
	p.t.Helper()
	for limit := time.Now().Add(2 * time.Minute); ; {
		p.must(os.WriteFile(filepath.Join(p.dir, name), []byte(name+"\n"), 0o600))
		p.does("patient", "record", "add", name)
		var g granted
		before := p.again
		for i, do := range []func(){
			func() { g = p.grant(name) },
			func() { p.fetch(g) },
			func() { p.does("patient", "revoke", g.consent, "--yes") },
			func() { p.run("patient", "audit") },
		} {
			was := answered()
			do()
			requests[i] = answered() - was
		}
		if p.again == before || time.Now().After(limit) {
			return requests
		}
		name += "."
	}
}

// compares judges what costs says with all institutions and with one gone: at most 1.2 times as
// many requests.
func (p people) compares(all, gone [4]int) {
	p.t.Helper()
	p.t.Logf("requests with all %v, with one gone %v", all, gone)
	for i := range all {
		if with := gone[i] + 1; 5*with > 6*all[i] || all[i] == 0 { // it asks where the one is that is gone
			p.t.Errorf("step %d takes %d requests with one gone, and %d with all", i, with, all[i])
		}
	}
}

// refused is a fetch of what was revoked.
func (p people) refused(g granted) (tries int) {
	p.t.Helper()
	code, _, talk := p.run("clinic", "fetch", g.code, "-o", "again")
	tries = 1
	for limit := time.Now().Add(2 * time.Minute); code == cli.ExitUnreachable && time.Now().Before(limit); tries++ { // a node is slow
		code, _, talk = p.run("clinic", "fetch", g.code, "-o", "again")
	}
	if code != cli.ExitRefused {
		p.t.Errorf("exit %d: %s", code, talk)
	}
	return tries
}

func between(least, n, most int) bool { return least <= n && n <= most }

// shut is a fetch of what was revoked while nothing is ordered, and as many keepers say nothing as
// could open it: it opens nothing.
func (p people) shut(g granted) {
	p.t.Helper()
	code, out, talk := p.run("clinic", "fetch", g.code, "-o", "shut")
	if _, err := os.Lstat(filepath.Join(p.dir, "shut")); code != cli.ExitUnreachable || err == nil {
		p.t.Errorf("exit %d: %s%s", code, out, talk)
	}
}

// entries is how many the ledger has when all that the patient signed is on it.
func (p people) entries() uint64 {
	p.t.Helper()
	code, out, talk := p.run("patient", "sync", "--json")
	for limit := time.Now().Add(2 * time.Minute); code == cli.ExitUnreachable && time.Now().Before(limit); { // nodes that were away find each other
		code, out, talk = p.run("patient", "sync", "--json")
	}
	var all []struct {
		Entries uint64
		Pending []any
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 || len(all) != 1 || len(all[0].Pending) > 0 {
		p.t.Fatalf("exit %d, %v: %s%s", code, err, out, talk)
	}
	return all[0].Entries
}

// Promises 3, 4 and 8 where four institutions keep the ledger, two of whose keepers open what is
// granted: each of them has its share, and with one institution away, be it the one whose
// invitation a wallet has, all of it goes on.
func TestKeepersOfInstitutions(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	d := newInstitutions(t, 4)
	d.reached()
	p := d.people(0, 1)
	first := p.give("first")
	if out := d.mustRun("patient", "consent", "show", first.consent); !strings.Contains(out, "any 2 of 4 give the key to an opening") {
		t.Error(out)
	}
	if out := d.mustRun("patient", "ledger", "info"); !strings.Contains(out, "gate: enforced, by several operators. Two of them") {
		t.Error(out)
	}
	p.fetch(first)
	invitation := strings.TrimSpace(string(d.operator("invite", d.folder(0))))
	d.must(os.WriteFile(filepath.Join(d.dir, "visitor.passphrase"), []byte("horse of visitor\n"), 0o600))
	if _, out, _ := d.until([]string{"signed by 4 of its 4 nodes"}, "visitor", "ledger", "info", "--ledger", invitation); strings.Contains(out, "last entry") {
		t.Error(out)
	}

	all := p.costs("weighed", d.requests)

	d.kill(0) // whose invitation the patient has
	gone := p.costs("weighed again", d.requests)
	p.compares(all, gone)
	if code, out, talk := d.run("visitor", "init", "--name", "Visitor", "--ledger", invitation, "--words-file", "visitor.words"); code != cli.ExitUnreachable || !strings.Contains(talk, "an invitation of any other of them will do") {
		t.Errorf("exit %d: %s%s", code, out, talk)
	}
	second := p.give("second")
	d.until([]string{"3 of 4 keepers hold shares"}, "patient", "consent", "show", second.consent)
	p.fetch(second)
	d.mustRun("patient", "ledger", "verify")
	d.until([]string{"at 3 of 4 keepers", "no word of"}, "patient", "revoke", second.consent, "--yes")
	d.does("patient", "sync")
	tries := p.refused(second)
	if code, out, talk := d.run("patient", "audit"); code != cli.ExitPartly || strings.Count(out, "check-up") != d.fetched || !between(1, strings.Count(out, "tried, refused"), tries) || !strings.Contains(talk, "Keeper 1 ") {
		t.Errorf("exit %d: %s%s", code, out, talk)
	}

	d.serve(0)
	d.kill(1) // whose invitation the clinic has
	p.fetch(p.give("third"))
}
