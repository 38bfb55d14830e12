package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
)

// gauge is a number that the operator of a node sees; false: the node does not say it yet.
func (d *institutions) gauge(i int, name string) (float64, bool) {
	d.t.Helper()
	answer, err := http.Get("http://" + d.metrics[i] + "/metrics")
	d.must(err)
	raw, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	d.must(err)
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(raw)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	d.must(err)
	return n, true
}

// looked waits until a node has looked after all that it was given.
func (d *institutions) looked(i int) {
	d.t.Helper()
	for limit := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if n, _ := d.gauge(i, "carekey_copies_passes_total"); n > 0 {
			return
		}
		if time.Now().After(limit) {
			d.t.Fatalf("node %d has not looked after what it stores", i+1)
		}
	}
}

// What is gone from a node's disk comes back from another node when it looks after it, which its
// operator sees. A node whose folder is lost as a whole, and is made anew with its keys, has the
// log again, and none of the payloads; and it signs nothing before it knows from the others what
// it may have signed.
func TestLostCopies(t *testing.T) {
	t.Parallel()
	d := newInstitutions(t, 3)
	d.reached()
	p := d.people(0, 1)
	name := "scan"
	d.must(os.WriteFile(filepath.Join(d.dir, name), bytes.Repeat([]byte("0123456789abcdef"), 64<<10), 0o600))
	p.does("patient", "record", "add", name)
	entries := d.agree(2)

	contents, err := filepath.Glob(filepath.Join(d.dir, d.folder(0), "contents", "*"))
	if err != nil || len(contents) != 1 {
		t.Fatalf("%q are the contents of node 1, %v", contents, err)
	}
	was, err := os.ReadFile(contents[0])
	d.must(err)
	d.kill(0)
	d.must(os.Remove(contents[0]))
	d.serve(0)
	d.looked(0)
	for name, want := range map[string]float64{"carekey_copies_damaged_total": 1, "carekey_copies_taken_total": 1, "carekey_copies_broken": 0} {
		if n, said := d.gauge(0, name); n != want || !said {
			t.Errorf("%s %v, %v", name, n, said)
		}
	}
	if is, err := os.ReadFile(contents[0]); err != nil || !bytes.Equal(is, was) {
		t.Errorf("%d bytes came back of %d: %v", len(is), len(was), err)
	}

	// The second node has lost all but what its operator keeps apart.
	d.agree(entries)
	d.kill(1)
	at, lost := filepath.Join(d.dir, d.folder(1)), filepath.Join(d.dir, "lost")
	d.must(os.Rename(at, lost))
	for _, kept := range []string{"keys", "tls"} {
		d.must(os.CopyFS(filepath.Join(at, kept), os.DirFS(filepath.Join(lost, kept))))
		d.must(os.Chmod(filepath.Join(at, kept), 0o700))
	}
	settings, err := os.ReadFile(filepath.Join(lost, "node.json"))
	d.must(err)
	d.must(os.WriteFile(filepath.Join(at, "node.json"), settings, 0o600))
	ledger := strings.TrimSpace(d.mustRun("patient", "ledger", "info", "--json"))
	id := regexp.MustCompile(`"id": ?"([0-9a-f]{64})"`).FindStringSubmatch(ledger)
	if id == nil {
		t.Fatal(ledger)
	}
	found := exec.Command(d.bin, "found", "node", d.folder(1), "draft", "--id", id[1], "--order", "example:"+filepath.Join(d.dir, "order"))
	found.Dir, found.Env = d.dir, append(append(os.Environ(), d.clock()), d.order...)
	if said, err := found.CombinedOutput(); err != nil || !strings.Contains(string(said), "It signs nothing\nbefore the others have shown it") {
		t.Errorf("%v: %s", err, said)
	}
	signed := filepath.Join(at, "signed")
	if _, err := os.Lstat(signed); err == nil {
		t.Error("what it has signed is taken for known")
	}
	d.serve(1)
	raw, err := os.ReadFile(signed)
	for limit := time.Now().Add(2 * time.Minute); err != nil && time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		raw, err = os.ReadFile(signed)
	}
	d.must(err)
	if head, err := ledgerclient.Unverified(raw); err != nil || head.Size != entries {
		t.Errorf("it has signed %d entries, not %d: %v", head.Size, entries, err)
	}
	d.looked(1)
	if n, said := d.gauge(1, "carekey_copies_taken_total"); n != 0 {
		t.Errorf("%v payloads came back, %v", n, said)
	}
	if all, _ := filepath.Glob(filepath.Join(at, "contents", "*")); len(all) != 0 {
		t.Errorf("%q are there", all)
	}
	d.mustRun("patient", "ledger", "verify")
	d.mustRun("patient", "record", "get", fmt.Sprint(p.list("patient", "record", "list")[0]["id"]), "-o", "again")
	if got, err := os.ReadFile(filepath.Join(d.dir, "again")); err != nil || len(got) != 1<<20 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
