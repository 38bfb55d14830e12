package wallet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
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
// where the key is a record's title and version, a window's end, or a consent. Every other
// record is a bundle, kept as parts and given in parts.
func work(d district, arg string) error {
	var first, n, most int
	if _, err := fmt.Sscan(arg, &first, &n, &most); err != nil {
		return err
	}
	say := func(words ...any) { os.Stdout.WriteString(fmt.Sprintln(words...)) }
	say("ready")
	patient, clinic, f, err := d.open()
	if err != nil {
		return err
	}
	defer f.Close()
	say("open")
	for i := 0; most == 0 || i < most; i++ {
		n++
		key, do, err := prepare(patient, clinic, steps[(first+i)%len(steps)], n)
		if err != nil {
			return err
		}
		if do == nil { // nothing to fetch or to revoke
			i--
			if key, do, err = prepare(patient, clinic, "grant", n); err != nil {
				return err
			}
			say("b", "grant", key)
			if err := do(); err != nil {
				return err
			}
			say("d", "grant", key)
			continue
		}
		say("b", steps[(first+i)%len(steps)], key)
		if err := do(); err != nil {
			return err
		}
		say("d", steps[(first+i)%len(steps)], key)
	}
	say("end")
	return nil
}

// prepare looks for something to do a step with. key tells what it is, do does it;
// do is nil if there is nothing.
func prepare(patient, clinic *wallet.Wallet, step string, n int) (key string, do func() error, err error) {
	ctx := context.Background()
	switch step {
	case "add":
		title := "r" + strconv.Itoa(n)
		if n%2 == 1 {
			title = "bundle" + strconv.Itoa(n)
		}
		return title + " 1", func() error {
			_, _, err := patient.Records().Add(ctx, source(title, 1), wallet.Describe{}, nil)
			return err
		}, nil
	case "update", "grant":
		recs, err := patient.Records().List(ctx)
		if err = errors.Join(err, errors.Join(patient.Unwritten()...)); err != nil {
			return "", nil, err
		}
		r := recs[len(recs)-1]
		if step == "update" {
			return fmt.Sprint(r.Title, " ", r.Version+1), func() error {
				_, _, err := patient.Records().Update(ctx, r.ID.String(), source(r.Title, r.Version+1), wallet.Describe{}, nil)
				return err
			}, nil
		}
		p, err := patient.Grants().Plan(ctx, wallet.GrantRequest{To: clinicHome, Records: []string{r.ID.String()}, NotAfter: endOf(n)})
		return fmt.Sprint(endOf(n)), func() error {
			_, _, err := patient.Grants().Give(ctx, p)
			return err
		}, err
	case "fetch":
		// What waits in the patient's journal comes first: a grant without its share, or a
		// revocation that the keeper has and the ledger has not, is rightly refused.
		if _, err := patient.Records().List(ctx); err != nil {
			return "", nil, err
		}
		box, err := clinic.Inbox().List(ctx)
		for i := len(box) - 1; i >= 0; i-- {
			if r := box[i]; r.Status == wallet.StatusActive && r.Fetched == 0 {
				return r.Consent.String(), func() error { return fetch(clinic, r) }, err
			}
		}
		return "", nil, err
	case "revoke":
		cs, err := patient.Consents().Select(ctx, wallet.RevokeRequest{All: true})
		if err != nil || len(cs) == 0 {
			return "", nil, err
		}
		id := cs[len(cs)-1].ID
		return id.String(), func() error {
			_, err := patient.Consents().Revoke(ctx, []contract.ID{id})
			return err
		}, nil
	}
	return "", nil, fmt.Errorf("no step %q", step)
}

// fetch opens a consent and reads all of it.
func fetch(clinic *wallet.Wallet, r wallet.Received) error {
	ctx := context.Background()
	o, err := clinic.Inbox().OpenByID(ctx, r.Consent.String(), "check-up")
	if err != nil {
		return err
	}
	for i, rec := range o.Records {
		var out strings.Builder
		if err := o.Read(ctx, i, &out, nil); err != nil {
			return err
		}
		if rec.Part() { // of a bundle, what carekey understands
			if !strings.Contains(out.String(), "195967001") || strings.Contains(out.String(), "version ") {
				return fmt.Errorf("read as a part: %q", out.String())
			}
			continue
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
	finished []wallet.Pending
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

	recs, err := patient.Records().List(ctx)
	if err != nil {
		t.Fatalf("records: %v", err)
	}
	a.finished = append(a.finished, patient.Changes().Finished()...)
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
			if _, err := patient.Records().Open(ctx, r.ID.String(), &out, false, nil); err != nil || out.String() != textOf(r.Title, r.Version) {
				t.Errorf("record %s, version %d, reads %q, %v", r.Title, r.Version, out.String(), err)
			}
			if _, parts, err := patient.Records().Parts(ctx, r.ID.String()); err != nil || len(parts) != r.Parts || len(parts) > 0 != isBundle(r.Title) {
				t.Errorf("record %s has %d parts, %v", r.Title, len(parts), err)
			}
		}
	}
	box, err := clinic.Inbox().List(ctx)
	if err != nil {
		t.Fatalf("inbox: %v", err)
	}
	a.finished = append(a.finished, clinic.Changes().Finished()...)
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
	cs, err := patient.Consents().List(ctx)
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
		if a.grants[contract.Hour(c.NotAfter)] != "" {
			t.Errorf("the consent until %d is doubled: %s and %s", c.NotAfter, a.grants[contract.Hour(c.NotAfter)], c.ID)
		}
		a.grants[contract.Hour(c.NotAfter)] = c.ID.String()
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
			x, err := patient.Consents().Explain(ctx, c.ID.String())
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
	if err := errors.Join(patient.Changes().Stuck(), clinic.Changes().Stuck()); err != nil {
		t.Errorf("the journal cannot be finished: %v", err)
	}
	if left := d.journal(t); len(left) > 0 {
		t.Errorf("the journal is not empty after the next run: %v", left)
	}
	for _, home := range []string{patientHome, clinicHome} {
		for _, sub := range []string{".", "ledgers/*", "ledgers/*/journal"} {
			if left, _ := filepath.Glob(filepath.Join(d.home(home), sub, ".*")); len(left) > 0 {
				t.Errorf("half-written files are left: %v", left)
			}
		}
	}
	if !all {
		return a
	}
	if _, err := patient.Audit().Events(ctx); err != nil {
		t.Errorf("audit: %v", err)
	}
	if _, err := f.Verify(ctx, nil, nil); err != nil {
		t.Errorf("the ledger does not verify: %v", err)
	}
	return a
}

// killed runs a worker and kills it so long after it said something that begins
// with mark. It returns all that the worker said after its first line.
func killed(t testing.TB, cmd *exec.Cmd, mark string, after time.Duration) string {
	t.Helper()
	var stderr, said strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		said.WriteString(line)
		if timer == nil && strings.HasPrefix(line, mark) {
			timer = time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	if timer != nil {
		timer.Stop()
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the worker ended by itself: %v\n%s%s", err, said.String(), stderr.String())
	}
	return said.String()
}

// spans measures how long opening with the looking before the first step takes,
// and each step itself.
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
		var ready, begun time.Time
		first := time.Duration(0)
		for s := bufio.NewScanner(out); s.Scan(); {
			switch w := strings.Fields(s.Text()); w[0] {
			case "ready":
				ready = time.Now()
			case "b":
				begun = time.Now()
				if first == 0 {
					first = time.Since(ready)
					open = max(open, first)
				}
			case "d":
				step[w[1]] = max(step[w[1]], time.Since(begun))
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return open, step
}

// tally is what became of killed workers.
type tally struct {
	mu                     sync.Mutex
	kills, finished, again int
	interrupted            map[string]int            // step → kills
	outcome                map[string]map[string]int // step → outcome → kills
}

func (y *tally) count(step, outcome string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.outcome[step] == nil {
		y.outcome[step] = map[string]int{}
	}
	y.outcome[step][outcome]++
}

// Promise 8: a process that is killed at any instant leaves nothing half done.
func TestKilledAtAnyInstant(t *testing.T) {
	const perDistrict = 25
	kills := lane.Pick(500, 30, 4)
	first := newDistrict(t, t.TempDir())
	open, span := spans(t, first)
	t.Logf("measured: opening and looking %v, steps %v", open.Round(time.Millisecond), span)
	y := &tally{interrupted: map[string]int{}, outcome: map[string]map[string]int{}}
	start := time.Now()
	t.Run("districts", func(t *testing.T) {
		for from := 0; from < kills; from += perDistrict {
			t.Run(strconv.Itoa(from), func(t *testing.T) {
				t.Parallel()
				killIn(t, y, uint64(from), min(perDistrict, kills-from), open, span)
			})
		}
	})
	t.Logf("%d kills in %v, in: %s", y.kills, time.Since(start).Round(100*time.Millisecond), countsOf(y.interrupted))
	for _, s := range steps {
		t.Logf("killed in %-7s %s", s+":", countsOf(y.outcome[s]))
	}
	t.Logf("changes finished by the next run: %d; left to a next worker that could be killed too: %d", y.finished, y.again)
	if y.kills < kills {
		t.Errorf("%d kills, want %d", y.kills, kills)
	}
}

// killIn makes a district and kills workers in it.
func killIn(t *testing.T, y *tally, seed uint64, kills int, open time.Duration, span map[string]time.Duration) {
	rng := rand.New(rand.NewPCG(20261121, seed))
	d := newDistrict(t, t.TempDir())
	prefill(t, d)
	var deeds ledgerOfDeeds
	var before []string // what waited when the worker began
	for k := range kills {
		last := k == kills-1
		first := rng.IntN(len(steps))
		// Most are killed in a step, at any moment of it or soon after; the others
		// while they open the wallets and finish what waits.
		mark, most := "b ", span[steps[first]]*3/2
		if len(before) > 0 || rng.IntN(8) == 0 {
			mark, most = "ready", open
		}
		// However slow the machine was when it was measured, no worker gets as far as to
		// the next one's numbers.
		after := time.Duration(rng.Int64N(int64(min(most, 2*time.Second))))
		said := killed(t, otherProcess(t, "worker", d, fmt.Sprint(first, 100+1000*k, 0)), mark, after)
		stopped := deeds.hear(said)
		what := "looking"
		switch {
		case stopped != nil:
			what = stopped.step
		case !strings.Contains(said, "open\n"):
			what = "opening"
		}
		y.mu.Lock()
		y.kills++
		y.interrupted[what]++
		y.mu.Unlock()
		waiting := d.journal(t)
		own := slices.ContainsFunc(waiting, func(name string) bool { return !slices.Contains(before, name) })
		// Sometimes the next run is a worker that may be killed while it finishes what
		// this one began.
		if own && stopped != nil && rng.IntN(4) == 0 && !last {
			y.mu.Lock()
			y.again++
			y.mu.Unlock()
			y.count(what, "left to the next worker")
			before = waiting
			continue
		}
		before = nil
		a := inspect(t, d, last)
		for _, f := range a.finished {
			// An access that waits in the clinic's journal can find its consent revoked: by
			// the next worker, or by a revocation that waited in the patient's.
			refused, _ := errors.AsType[*wallet.RefusedError](f.Err)
			late := f.Action == wallet.Accessing && refused != nil && refused.Rule == contract.RuleRevoked && a.revoked[refused.Consent.String()]
			if f.Err != nil && !late {
				t.Errorf("killed in %s: finishing %s: %v", what, f.Action, f.Err)
			}
		}
		y.mu.Lock()
		y.finished += len(a.finished)
		y.mu.Unlock()
		for _, d := range deeds {
			if d.done && !a.holds(d) {
				t.Errorf("killed in %s: %s %s was done and is lost", what, d.step, d.key)
			}
		}
		if stopped != nil {
			switch holds := a.holds(*stopped); {
			case own && !holds && stopped.step == "fetch" && a.revoked[stopped.key]:
				y.count(what, "given up, since a revocation came first")
			case own && !holds:
				t.Errorf("%s %s was in the journal and is absent", stopped.step, stopped.key)
			case own:
				y.count(what, "finished on the next run")
			case holds:
				y.count(what, "was whole")
			default:
				y.count(what, "absent")
			}
		}
		if t.Failed() {
			t.Fatalf("kill %d after %v, the worker said:\n%s", k, after, said)
		}
	}
}

// prefill gives a district a record with a consent, so that there is something to
// fetch and to revoke.
func prefill(t testing.TB, d district) {
	t.Helper()
	patient, clinic, f, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n, step := range []string{"add", "grant", "grant"} {
		_, do, err := prepare(patient, clinic, step, n)
		if err == nil {
			err = do()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
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
