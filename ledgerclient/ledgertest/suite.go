package ledgertest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/order"
)

// Harness is what the suite needs of a backend. One of Order and Ledger is set.
type Harness struct {
	// Order opens the order under test. It is called many times, and must always show
	// the same order: after the one before was closed, and in one case while it is open.
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
	// Entries of the seeded run. 0: 1,000.
	Entries int
}

// FirstHour is the hour at which the seeded run begins where the clock can be set.
// A folder that is to have the same root as all others is made at this hour with
// Founding.
const FirstHour contract.Hour = 490_000

// Roots are the details of the seeded run of seed 1, by its number of entries: what it comes to on
// every backend whose clock can be set, and for ever.
var Roots = map[int]string{
	1000:   "560 accepted, 353 refused, 87 again: 561 leaves, root 5df12d0d12cb2cf9a2b760c1bd00e0e4c182e9dd46506db5685a56469050e56c",
	10_000: "5669 accepted, 3493 refused, 838 again: 5670 leaves, root bc7c0f72caf1fdb5b85103647e1a3facc05b846a050f2b7ce08c8094ba2b5906",
}

// Case is one thing that the suite checks.
type Case struct {
	Name string
	Rule string // what must hold

	order, ledger func(r *run) // one of them is nil where there is nothing to check
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
		if h.Only == "" || c.Name == h.Only {
			report(c.check(&run{Harness: h, ctx: ctx, number: i, hour: &hour}))
		}
	}
	return ctx.Err()
}

// A case ends where it sees that its rule is broken, or cannot be checked: with a panic
// of one of these, which check takes.
type (
	failure struct{ error }
	skip    string
)

func (c Case) check(r *run) (res Result) {
	res.Case = c
	defer r.close()
	defer func() {
		switch v := recover().(type) {
		case nil:
		case failure:
			res.Err = v.error
		case skip:
			res.Skipped = string(v)
		default:
			panic(v)
		}
		res.Detail = r.detail
	}()
	if r.Order != nil {
		c.order(r)
	} else {
		c.ledger(r)
	}
	return res
}

// Run runs the suite as subtests, and returns the results.
func Run(t *testing.T, h Harness) []Result {
	t.Helper()
	if h.Dir == "" {
		h.Dir = t.TempDir()
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

// run is one case at work. Its methods end the case where something fails.
type run struct {
	Harness
	ctx    context.Context
	number int
	hour   *contract.Hour // the clock, if it can be set
	b      order.Backend  // the order under test, see open
	opened []any          // what is closed again
	detail string
}

// must ends the case with an error.
func (r *run) must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// check ends the case with the text unless ok.
func (r *run) check(ok bool, format string, args ...any) {
	if !ok {
		panic(failure{fmt.Errorf(format, args...)})
	}
}

func (r *run) close() {
	for _, o := range r.opened {
		if c, ok := o.(io.Closer); ok {
			c.Close()
		}
	}
	r.opened = nil
}

// setHour moves the clock. If it cannot be moved the case is skipped.
func (r *run) setHour(h contract.Hour) {
	if r.SetHour == nil {
		panic(skip("the harness cannot set the backend's clock"))
	}
	*r.hour = h
	r.must(r.SetHour(h))
}

// start sets the clock to an hour, if it can be set.
func (r *run) start(h contract.Hour) {
	if r.SetHour != nil {
		r.setHour(h)
	}
}

// clock is that of the machine where replicas are.
func (r *run) clock() time.Time {
	if r.SetHour == nil {
		return time.Now()
	}
	return time.Unix(int64(*r.hour)*3600+1800, 0)
}

// now is the hour of the clock.
func (r *run) now() contract.Hour { return contract.Hour(r.clock().Unix() / 3600) }

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
