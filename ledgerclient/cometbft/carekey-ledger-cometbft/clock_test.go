package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
)

// setClock sets the clock of a validator, also of one that runs: how far it is ahead of this
// computer's.
func (v *validator) setClock(ahead time.Duration) {
	v.n.t.Helper()
	file := v.dir + ".clock"
	v.env = []string{testClock + "=" + file}
	err := os.WriteFile(file+".new", []byte(ahead.String()), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		v.n.t.Fatal(err)
	}
}

// One of four has a clock that is an hour off, ahead or behind. The hour of what is ordered is
// that of the others, also behind hours in which nothing was. They say whose clock it is, and
// that it is right again.
func TestHourOff(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	start := time.Date(2027, 1, 15, 12, 10, 0, 0, time.UTC)
	hour, ahead, off := contract.Hour(start.Unix()/3600), time.Until(start), time.Hour
	set := func() {
		for i, v := range n.validators {
			if v.setClock(ahead); i == 3 {
				v.setClock(ahead + off)
			}
		}
	}
	hours := map[contract.Entry]contract.Hour{}
	through := func(members ...int) {
		t.Helper()
		for _, e := range n.through(members...) {
			hours[e] = hour
		}
	}
	// an hour goes by without anything to be ordered.
	idle := func() {
		hour, ahead = hour+1, ahead+time.Hour
		set()
	}
	// named goes on until that is what the others say.
	named := func(words string, between func()) {
		t.Helper()
		pattern := regexp.MustCompile("^" + words + "$")
		for _, v := range n.validators[:3] {
			v.until(func(w string) bool {
				if pattern.MatchString(w) {
					return true
				}
				between()
				return false
			})
		}
	}
	set()
	n.up()
	through(0, 1, 2, 3)
	named(`4 of 4 decide; the clock of Patients is (59m|1h0m)\d+s ahead`, func() { through(0) })
	idle()
	through(0, 1, 2, 3)

	off = -time.Hour
	idle()
	through(0, 1, 2, 3)
	named(`4 of 4 decide; the clock of Patients is (59m|1h0m)\d+s behind, or more`, func() { idle(); through(0, 1, 2, 3) })

	off = 0
	named("4 of 4 decide", func() { idle(); through(0, 1, 2, 3) })
	for _, i := range n.agree() {
		if i.Hour != hours[i.Entry] {
			t.Errorf("an entry of hour %d was ordered in hour %d", hours[i.Entry], i.Hour)
		}
	}
}

// The seeded run comes to the same on four validators as on every other backend, where their
// clocks are set.
func TestSeeded(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	set := func(hour contract.Hour) error {
		for _, v := range n.validators {
			v.setClock(time.Until(time.Unix(int64(hour)*3600+1800, 0)))
		}
		return nil
	}
	set(ledgertest.FirstHour)
	for _, v := range n.validators {
		v.start()
	}
	count := lane.Pick(10_000, 1_000, 1_000)
	all := ledgertest.Run(t, ledgertest.Harness{
		Seed: 1, Entries: count, Only: "seeded", SetHour: set,
		Order: func(context.Context) (order.Backend, error) { return n.validators[0].order(), nil },
	})
	if len(all) != 1 || all[0].Detail != ledgertest.Roots[count] {
		t.Fatalf("%+v", all)
	}
	// And so at each of them.
	var first []order.Item
	for i, v := range n.validators {
		b := v.order()
		items := n.all(b)
		if i == 0 {
			first = items
		}
		for len(items) < len(first) {
			items = n.all(b)
		}
		if fmt.Sprint(items) != fmt.Sprint(first) {
			t.Errorf("%s has another order", filepath.Base(v.dir))
		}
	}
}
