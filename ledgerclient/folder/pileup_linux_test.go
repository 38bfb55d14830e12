package folder

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
)

// asked is how many bytes this process has read so far and how often it asked the
// system to read, beside folders.
func asked(t *testing.T) (bytes, calls int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(strings.ReplaceAll(string(b), "\n", " "), "rchar: %d wchar: %d syscr: %d", &bytes, new(int64), &calls); err != nil {
		t.Fatal(err)
	}
	return bytes, calls
}

// Threat: strangers pile up payloads without entries, and requests that are refused,
// so that whoever revokes waits for the lock while the folder reads them all. What a
// put, a refusal and a revocation read does not grow with what is there.
func TestPileUpCostsNobodyElse(t *testing.T) {
	lane.OneGoroutine(t)
	origin, clock := newLedger(t)
	origin.Close()
	f, err := open(origin.dir, Options{Clock: clock.now}, unsyncedFiles{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := newPeople(t, f.id)
	g := p.grant()
	p.addGrant(f, g)
	access, _ := p.access(g, clock.hour)
	put := func() {
		t.Helper()
		p.must(f.store.PutBlobs(ctx, p.grant().puts))
	}
	refuse := func() {
		t.Helper()
		r, _ := p.request(g, access, f.keeper.Key()) // the access is not on the ledger
		if a, err := f.keeper.Release(ctx, r); err != nil || a.Code != ledgerclient.NoAccess {
			t.Fatal(a.Code, err)
		}
	}
	revoke := func() {
		t.Helper()
		_, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(g)})
		p.must(err)
	}
	cost := func(do func()) (bytes, calls int64) {
		b, c := asked(t)
		do()
		bytes, calls = asked(t)
		return bytes - b, calls - c
	}
	for range 12 {
		put()
		refuse()
	}
	const atMost, old = "%s reads %d bytes in %d calls", 18 // what a put drops of what is old
	check := func(name string, do func(), mostBytes, mostCalls int64) {
		t.Helper()
		if bytes, calls := cost(do); bytes > mostBytes || calls > mostCalls {
			t.Errorf(atMost, name, bytes, calls)
		}
	}
	check("the first of puts", put, 2<<10, 40)
	check("the first of refusals", refuse, 12<<10, 60)
	for range 300 {
		put()
		refuse()
	}
	check("the last of puts", put, 2<<10, 40)
	check("the last of refusals", refuse, 12<<10, 60)
	clock.hour += keepHours
	check("a put when all are old", put, old*1<<10, old*20)
	check("a revocation", revoke, 8<<10, 60)
	p.must((&Sweeper{Folder: f}).Sweep(ctx))
	left := 0
	for _, at := range foldertest.Payloads(f.dir, ledgerclient.PartTerms) {
		if at.Length > 0 {
			left++
		}
	}
	if left != 2 {
		t.Errorf("%d entries have payloads: one is ordered, one is of this hour", left)
	}
	mustVerify(t, f)
}
