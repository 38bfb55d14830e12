package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// TestAcceptKilledAtANode kills who accepts a delivery, with kill -9, at each of its requests,
// those between opening it and making it a record among them. Promise 8: run again it is a
// record, once, and its sender sees that it was opened.
func TestAcceptKilledAtANode(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	d := newDistantTown(t, false)
	made := 0
	sent := func() string {
		made++
		name := fmt.Sprintf("result%d.txt", made)
		d.must(os.WriteFile(filepath.Join(d.dir, name), fmt.Appendf(nil, "Hb %d\n", made), 0o600))
		return d.list("clinic", "deliver", name, "--to", "Maria", "--attest", "--yes")[0]["consent"].(string)
	}
	id := sent()
	d.proxy.arm(faultNone, 0, nil)
	d.mustRun("patient", "inbox", "accept", id, "--yes")
	requests := d.proxy.counted()
	t.Logf("to accept takes %d requests", requests)
	kills := []interrupted{{faultBefore, "wallet"}, {faultAfter, "wallet"}}
	opened, waits := 0, 0
	for at := 1; at <= requests; at += lane.Pick(1, 1, 3) {
		for k, kill := range kills {
			if lane.Pick(0, 1, 1) == 1 && at%len(kills) != k {
				continue
			}
			id := sent()
			d.under(kill, at, "patient", "inbox", "accept", id, "--yes")
			for _, x := range d.list("clinic", "deliver", "list") {
				if x["consent"] == id && x["opened"] != nil {
					opened++
					if found := madeOf(d.list("patient", "record", "list"), id); found == 0 {
						waits++
					}
				}
			}
			d.mustRun("patient", "inbox", "accept", id, "--yes")
			if n := madeOf(d.list("patient", "record", "list"), id); n != 1 {
				t.Errorf("killed at request %d: %d records", at, n)
			}
			for _, x := range d.list("clinic", "deliver", "list") {
				if x["consent"] == id && x["status"] != "opened" {
					t.Errorf("killed at request %d: %v", at, x["status"])
				}
			}
		}
	}
	if waits == 0 {
		t.Errorf("of %d that were opened none was killed before it was a record", opened)
	}
}

// madeOf is how many records, and versions of one, were made of a delivery.
func madeOf(records []map[string]any, id string) (n int) {
	for _, r := range records {
		if s, ok := r["source"].(map[string]any); ok && s["delivery"] == id {
			n += int(r["version"].(float64))
		}
	}
	return n
}
