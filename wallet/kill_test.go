package wallet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/embedded"
	"github.com/carekey/carekey/wallet"
)

// steps are what a worker does, over and over.
var steps = []string{"add", "update", "grant", "fetch", "revoke"}

// work opens both wallets and goes through steps, beginning with the one that arg
// names, until it is killed; arg is "<first step> <first number> <how many steps,
// 0 = for ever>". It tells on standard output what it begins and what is done:
//
//	b <step> <key>
//	d <step> <key>
//
// where the key is a record's title and version, a window's end, or a consent.
func work(d district, arg string) error {
	var first, n, most int
	if _, err := fmt.Sscan(arg, &first, &n, &most); err != nil {
		return err
	}
	ctx := context.Background()
	say := func(words ...any) { os.Stdout.WriteString(fmt.Sprintln(words...)) }
	say("ready")
	patient, clinic, f, err := d.open()
	if err != nil {
		return err
	}
	defer f.Close()
	say("open")
	for i := 0; most == 0 || i < most; i++ {
		step := steps[(first+i)%len(steps)]
		n++
		switch step {
		case "add":
			title := "r" + strconv.Itoa(n)
			say("b", step, title, 1)
			if _, _, err := patient.AddRecord(ctx, source(title, 1), wallet.Describe{}, nil); err != nil {
				return err
			}
			say("d", step, title, 1)
		case "update":
			recs, err := patient.Records(ctx)
			if err != nil {
				return err
			}
			if len(recs) == 0 {
				continue
			}
			r := recs[len(recs)-1]
			say("b", step, r.Title, r.Version+1)
			if _, _, err := patient.UpdateRecord(ctx, r.ID.String(), source(r.Title, r.Version+1), wallet.Describe{}, nil); err != nil {
				return err
			}
			say("d", step, r.Title, r.Version+1)
		case "grant":
			recs, err := patient.Records(ctx)
			if err != nil {
				return err
			}
			if len(recs) == 0 {
				continue
			}
			p, err := patient.PlanGrant(ctx, wallet.GrantRequest{To: clinicHome, Records: []string{recs[len(recs)-1].ID.String()}, NotAfter: endOf(n)})
			if err != nil {
				return err
			}
			say("b", step, endOf(n))
			if _, _, err := patient.Grant(ctx, p); err != nil {
				return err
			}
			say("d", step, endOf(n))
		case "fetch":
			box, err := clinic.Inbox(ctx)
			if err != nil {
				return err
			}
			box = slices.DeleteFunc(box, func(r wallet.Received) bool { return r.Status != wallet.StatusActive || r.Fetched > 0 })
			if len(box) == 0 {
				continue
			}
			r := box[len(box)-1]
			say("b", step, r.Consent)
			if err := fetch(clinic, r); err != nil {
				return err
			}
			say("d", step, r.Consent)
		case "revoke":
			cs, err := patient.SelectRevocations(ctx, wallet.RevokeRequest{All: true})
			if err != nil {
				return err
			}
			if len(cs) == 0 {
				continue
			}
			c := cs[len(cs)-1]
			say("b", step, c.ID)
			if _, err := patient.Revoke(ctx, []contract.ID{c.ID}); err != nil {
				return err
			}
			say("d", step, c.ID)
		}
	}
	say("end")
	return nil
}

// fetch opens a consent and reads all of it.
func fetch(clinic *wallet.Wallet, r wallet.Received) error {
	ctx := context.Background()
	o, err := clinic.OpenByID(ctx, r.Consent.String(), "check-up")
	if err != nil {
		return err
	}
	for i, rec := range o.Records {
		var out strings.Builder
		if err := o.Read(ctx, i, &out, nil); err != nil {
			return err
		}
		if want := textOf(rec.Title, rec.Version); out.String() != want {
			return fmt.Errorf("read %q, want %q", out.String(), want)
		}
	}
	return nil
}

// deed is one step that a worker began.
type deed struct {
	step, key string
	done      bool
}

// ledgerOfDeeds is what workers of one district said.
type ledgerOfDeeds []deed

// hear takes up what one worker said. It returns the deed that was interrupted.
func (l *ledgerOfDeeds) hear(said string) (interrupted *deed) {
	for _, line := range strings.Split(said, "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		step, key, _ := strings.Cut(rest, " ")
		switch mark {
		case "b":
			*l = append(*l, deed{step: step, key: key})
			interrupted = &(*l)[len(*l)-1]
		case "d":
			if interrupted == nil || interrupted.step != step || interrupted.key != key {
				continue // a line that was cut by the kill
			}
			interrupted.done, interrupted = true, nil
		}
	}
	return interrupted
}

// town after a kill, as fresh processes find it.
type aftermath struct {
	records  map[string]int           // title → version
	grants   map[contract.Hour]string // window's end → consent
	revoked  map[string]bool          // consent
	fetched  map[string]bool          // consent
	finished []wallet.Finished
}

func (a *aftermath) holds(d deed) bool {
	switch d.step {
	case "add", "update":
		title, version, _ := strings.Cut(d.key, " ")
		v, _ := strconv.Atoi(version)
		return a.records[title] >= v
	case "grant":
		h, _ := strconv.Atoi(d.key)
		return a.grants[contract.Hour(h)] != ""
	case "fetch":
		return a.fetched[d.key]
	case "revoke":
		return a.revoked[d.key]
	}
	return false
}

// inspect opens both wallets as the next run would and checks that everything is
// whole: no doubles, every record can be read, every consent is revoked or its
// share is at the keeper, nothing waits. What all says is checked deeply, or only
// the newest of each.
func inspect(t testing.TB, d district, all bool) aftermath {
	t.Helper()
	ctx := context.Background()
	patient, clinic, f, err := d.open()
	if err != nil {
		t.Fatalf("the next run does not open: %v", err)
	}
	defer f.Close()
	a := aftermath{records: map[string]int{}, grants: map[contract.Hour]string{}, revoked: map[string]bool{}, fetched: map[string]bool{}}

	recs, err := patient.Records(ctx)
	if err != nil {
		t.Fatalf("records: %v", err)
	}
	a.finished = append(a.finished, patient.Finished()...)
	for i, r := range recs {
		if r.Missing {
			t.Errorf("record %s is on the ledger without its description", r.ID)
		}
		if a.records[r.Title] != 0 {
			t.Errorf("record %s is doubled", r.Title)
		}
		a.records[r.Title] = r.Version
		if all || i == len(recs)-1 {
			var out strings.Builder
			if _, err := patient.OpenRecord(ctx, r.ID.String(), &out, false, nil); err != nil || out.String() != textOf(r.Title, r.Version) {
				t.Errorf("record %s, version %d, reads %q, %v", r.Title, r.Version, out.String(), err)
			}
		}
	}
	box, err := clinic.Inbox(ctx)
	if err != nil {
		t.Fatalf("inbox: %v", err)
	}
	a.finished = append(a.finished, clinic.Finished()...)
	received := map[contract.ID]wallet.Received{}
	for _, r := range box {
		if r.Missing {
			t.Errorf("consent %s was received without its terms", r.Consent)
		}
		if r.Fetched > 1 {
			t.Errorf("consent %s was accessed %d times in one hour", r.Consent, r.Fetched)
		}
		a.fetched[r.Consent.String()] = r.Fetched > 0
		received[r.Consent] = r
	}
	cs, err := patient.Consents(ctx)
	if err != nil {
		t.Fatalf("consents: %v", err)
	}
	if len(cs) != len(box) {
		t.Errorf("%d consents were given, %d received", len(cs), len(box))
	}
	newest := -1
	for i, c := range cs {
		if c.Status == wallet.StatusActive {
			newest = i
		}
	}
	for i, c := range cs {
		if c.Missing {
			t.Errorf("consent %s has no terms", c.ID)
		}
		if a.grants[c.NotAfter] != "" {
			t.Errorf("the consent until %d is doubled: %s and %s", c.NotAfter, a.grants[c.NotAfter], c.ID)
		}
		a.grants[c.NotAfter] = c.ID.String()
		switch c.Status {
		case wallet.StatusRevoked:
			a.revoked[c.ID.String()] = true
			if !all {
				continue
			}
			var refused *wallet.RefusedError
			if err := fetch(clinic, received[c.ID]); !errors.As(err, &refused) || refused.Rule != contract.RuleRevoked {
				t.Errorf("revoked consent %s: %v", c.ID, err)
			}
		case wallet.StatusActive:
			x, err := patient.ExplainConsent(ctx, c.ID.String())
			if err != nil || !x.Allowed {
				t.Errorf("consent %s is not whole: %+v, %v", c.ID, x.Checks, err)
			}
			if (all || i == newest) && a.fetched[c.ID.String()] {
				if err := fetch(clinic, received[c.ID]); err != nil {
					t.Errorf("consent %s: %v", c.ID, err)
				}
			}
			if all && !a.fetched[c.ID.String()] {
				if err := fetch(clinic, received[c.ID]); err != nil {
					t.Errorf("consent %s: %v", c.ID, err)
				}
			}
		}
	}
	if err := errors.Join(patient.Stuck(), clinic.Stuck()); err != nil {
		t.Errorf("the journal cannot be finished: %v", err)
	}
	if left := d.journal(t); len(left) > 0 {
		t.Errorf("the journal is not empty after the next run: %v", left)
	}
	if !all {
		return a
	}
	if _, err := patient.Audit(ctx); err != nil {
		t.Errorf("audit: %v", err)
	}
	if _, err := f.Verify(ctx, embedded.Verified{}, nil); err != nil {
		t.Errorf("the ledger does not verify: %v", err)
	}
	return a
}

// killed runs a worker and kills it so long after it was ready. It returns what
// the worker said.
func killed(t testing.TB, cmd *exec.Cmd, after time.Duration) string {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		cmd.Wait()
		t.Fatalf("the worker said %q, %v, %s", line, err, stderr.String())
	}
	timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	said, _ := io.ReadAll(r)
	err = cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the worker ended by itself: %v\n%s%s", err, said, stderr.String())
	}
	return string(said)
}

// spans measures how long opening and each step take.
func spans(t testing.TB, d district) (open time.Duration, step map[string]time.Duration) {
	t.Helper()
	step = map[string]time.Duration{}
	for round := range 3 {
		cmd := otherProcess(t, "worker", d, fmt.Sprint(0, 1000+100*round, 2*len(steps)))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var last time.Time
		for s := bufio.NewScanner(out); s.Scan(); last = time.Now() {
			switch w := strings.Fields(s.Text()); w[0] {
			case "open":
				open = max(open, time.Since(last))
			case "b", "d":
				// A step begins with the looking before it.
				step[w[1]] = max(step[w[1]], time.Since(last))
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return open, step
}

// Promise 8: a process that is killed at any instant leaves nothing half done.
func TestKilledAtAnyInstant(t *testing.T) {
	const perDistrict = 25
	kills := 500
	if testing.Short() {
		kills = 20
	}
	rng := rand.New(rand.NewPCG(20261121, 8))
	open, span := spans(t, newDistrict(t, t.TempDir()))
	t.Logf("measured: opening %v, steps %v", open.Round(time.Millisecond), span)

	interrupted := map[string]int{}
	outcome := map[string]map[string]int{"opening": {}, "looking": {}}
	for _, s := range steps {
		outcome[s] = map[string]int{}
	}
	finished, again, total := 0, 0, 0
	start := time.Now()
	for round := 0; total < kills; round++ {
		d := newDistrict(t, t.TempDir())
		var deeds ledgerOfDeeds
		for k := 0; k < perDistrict && total < kills; k++ {
			total++
			first := rng.IntN(len(steps))
			if k == 0 {
				first = 0
			}
			after := time.Duration(rng.Int64N(int64(open + 2*span[steps[first]] + 2*time.Millisecond)))
			said := killed(t, otherProcess(t, "worker", d, fmt.Sprint(first, 1000*round+20*k, 0)), after)
			stopped := deeds.hear(said)
			what := "looking"
			switch {
			case stopped != nil:
				what = stopped.step
			case !strings.Contains(said, "open\n"):
				what = "opening"
			}
			interrupted[what]++
			waiting := d.journal(t)
			// Sometimes the next run is a worker that may be killed while it finishes
			// what this one began.
			if len(waiting) > 0 && stopped != nil && rng.IntN(4) == 0 && k < perDistrict-1 && total < kills {
				again++
				outcome[what]["left to the next worker"]++
				continue
			}
			a := inspect(t, d, k == perDistrict-1 || total == kills)
			for _, f := range a.finished {
				if f.Err != nil {
					t.Errorf("kill %d in %s: finishing %s: %v", total, what, f.Action, f.Err)
				}
			}
			finished += len(a.finished)
			for _, d := range deeds {
				if d.done && !a.holds(d) {
					t.Errorf("kill %d in %s: %s %s was done and is lost", total, what, d.step, d.key)
				}
			}
			if stopped == nil {
				continue
			}
			switch holds := a.holds(*stopped); {
			case len(waiting) > 0 && !holds:
				t.Errorf("kill %d: %s %s was in the journal and is absent", total, stopped.step, stopped.key)
			case len(waiting) > 0:
				outcome[what]["finished on the next run"]++
			case holds:
				outcome[what]["was whole"]++
			default:
				outcome[what]["absent"]++
			}
			if t.Failed() {
				t.Fatalf("district %d, the worker said:\n%s", round, said)
			}
		}
	}
	t.Logf("%d kills in %v: %s", total, time.Since(start).Round(100*time.Millisecond), countsOf(interrupted))
	for _, s := range steps {
		t.Logf("killed in %-7s %s", s+":", countsOf(outcome[s]))
	}
	t.Logf("changes finished by the next run: %d; left to a next worker that could be killed too: %d", finished, again)
}

func countsOf(m map[string]int) string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var out []string
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(out, ", ")
}
