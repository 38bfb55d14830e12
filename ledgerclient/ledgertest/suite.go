package ledgertest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/order"
)

// Harness is what the suite needs of a backend. One of Order and Ledger is set.
type Harness struct {
	// Order opens the order under test. It is called many times, each time after
	// the one before was closed, and must always show the same order.
	Order func(ctx context.Context) (order.Backend, error)
	// Ledger opens a ledger that is not derived from an order here: a folder, a node.
	Ledger func(ctx context.Context) (ledgerclient.Ledger, error)
	// Keeper opens a keeper that judges on that ledger. nil: none is checked.
	Keeper func(ctx context.Context) (ledgerclient.Keeper, error)
	// SetHour sets the clock that gives the hours of what is appended from now on.
	// nil: it cannot be set, and is right.
	SetHour func(hour contract.Hour) error
	// Dir is an empty folder for replicas, which are not removed. Run makes one.
	Dir string
	// Seed makes the entries. A backend that keeps what it was given by an earlier
	// run needs another seed each time.
	Seed uint64
	// Only is the name of the one case to check. "": all.
	Only string
	// Entries of the seeded run. 0: 1,000. Run takes CAREKEY_LEDGERTEST_ENTRIES.
	Entries int
}

// FirstHour is the hour at which the seeded run begins where the clock can be set.
// A folder that is to have the same root as all others is made at this hour with
// Founding.
const FirstHour contract.Hour = 490_000

// Case is one thing that the suite checks.
type Case struct {
	Name string
	Rule string // what must hold

	order  func(ctx context.Context, r *run) error
	ledger func(ctx context.Context, r *run) error
}

// Result is what came of one case.
type Result struct {
	Case
	Err     error  // nil: the rule holds
	Skipped string // why it could not be checked, or ""
	Detail  string // what was seen, or ""
}

// Cases returns the cases for a harness, in the order in which they are run.
func Cases(h Harness) []Case {
	var cs []Case
	for _, c := range allCases {
		if h.Order != nil && c.order != nil || h.Ledger != nil && c.ledger != nil {
			cs = append(cs, c)
		}
	}
	return cs
}

// Check runs the suite and gives each result to report as it comes. The error is
// ctx's.
func Check(ctx context.Context, h Harness, report func(Result)) error {
	if h.Entries == 0 {
		h.Entries = 1000
	}
	hour := FirstHour - 1000
	for i, c := range Cases(h) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if h.Only != "" && c.Name != h.Only {
			continue
		}
		report(c.check(ctx, &run{Harness: h, number: i, hour: &hour}))
	}
	return ctx.Err()
}

func (c Case) check(ctx context.Context, r *run) Result {
	defer r.close()
	f := c.order
	if r.Order == nil {
		f = c.ledger
	}
	res := Result{Case: c}
	res.Err = f(ctx, r)
	if s := (skip)(""); errors.As(res.Err, &s) {
		res.Err, res.Skipped = nil, string(s)
	}
	res.Detail = r.detail
	return res
}

// skip is the error of a case that cannot be checked.
type skip string

func (s skip) Error() string { return string(s) }

// Run runs the suite as subtests, and returns the results.
func Run(t *testing.T, h Harness) []Result {
	t.Helper()
	if h.Dir == "" {
		h.Dir = t.TempDir()
	}
	if s := os.Getenv("CAREKEY_LEDGERTEST_ENTRIES"); s != "" && h.Entries == 0 {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("CAREKEY_LEDGERTEST_ENTRIES is no number: %s", s)
		}
		h.Entries = n
	}
	var all []Result
	err := Check(t.Context(), h, func(r Result) {
		all = append(all, r)
		t.Run(r.Name, func(t *testing.T) {
			switch {
			case r.Err != nil:
				t.Errorf("%v\nthe rule: %s", r.Err, r.Rule)
			case r.Skipped != "" && os.Getenv("CAREKEY_NO_SKIP") != "":
				t.Fatal(r.Skipped)
			case r.Skipped != "":
				t.Skip(r.Skipped)
			case r.Detail != "":
				t.Log(r.Detail)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// run is one case at work.
type run struct {
	Harness
	number int
	hour   *contract.Hour // the clock, if it can be set
	opened []interface{ Close() error }
	detail string
}

func (r *run) close() {
	for _, o := range r.opened {
		o.Close()
	}
	r.opened = nil
}

// backend opens the order, after closing whatever was open.
func (r *run) backend(ctx context.Context) (order.Backend, error) {
	r.close()
	b, err := r.Order(ctx)
	if err == nil {
		r.opened = append(r.opened, b)
	}
	return b, err
}

// setHour moves the clock. If it cannot be moved the case is skipped.
func (r *run) setHour(h contract.Hour) error {
	if r.SetHour == nil {
		return skip("the harness cannot set the backend's clock")
	}
	*r.hour = h
	return r.SetHour(h)
}

// start sets the clock to its hour, if it can be set.
func (r *run) start() error {
	if r.SetHour == nil {
		return nil
	}
	return r.SetHour(*r.hour)
}

// seed is that of this case.
func (r *run) seed() uint64 { return r.Seed + uint64(r.number)<<40 }

// Founding returns the founding of the seeded run's ledger for a seed. Its keys
// are no secret.
func Founding(seed uint64) folder.Founding {
	s := submissions{seed: seed}
	entry, keeper := s.key(), s.key()
	random := sha256.Sum256(fmt.Appendf(nil, "carekey ledgertest founding %d", seed))
	fd, err := folder.FoundingOf("Conformance", ed25519.NewKeyFromSeed(random[:]), entry, keeper, [16]byte(random[:]))
	if err != nil {
		panic(err) // the name is one
	}
	return fd
}

// idOf is the id of a founding's ledger.
func idOf(fd folder.Founding) crypto.LedgerID { return contract.LedgerID(fd.Genesis) }

func failf(format string, args ...any) error { return fmt.Errorf(format, args...) }
