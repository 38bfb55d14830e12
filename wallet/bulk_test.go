package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/nodetest"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/payload"
)

// front stands between wallets and a node, counts the requests, and may answer itself.
type front struct {
	n   *nodetest.Node
	inv node.Invitation

	away time.Duration // how much later each request arrives
	late atomic.Int64  // how much later than noon it is, in hours

	mu     sync.Mutex
	asked  map[string]int
	bodies map[string][][]byte
	// answer, if it is set, answers a request, or reports that it did not. honest is what
	// the node says.
	answer func(w http.ResponseWriter, r *http.Request, honest func() *httptest.ResponseRecorder) bool
}

func newFront(t testing.TB) *front {
	t.Helper()
	f := &front{}
	n, err := nodetest.Start(filepath.Join(t.TempDir(), "node"), "City ledger", f.clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	f.n = n
	f.reset()
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	if f.inv, err = n.Invitation(); err != nil {
		t.Fatal(err)
	}
	f.inv.URLs = []string{s.URL}
	return f
}

// clock is that of the node and of the wallets.
func (f *front) clock() time.Time { return noon.Add(time.Duration(f.late.Load()) * time.Hour) }

// pass lets an hour pass, and the node begin again.
func (f *front) pass(t testing.TB) {
	t.Helper()
	f.late.Add(1)
	if err := f.n.Restart(); err != nil {
		t.Fatal(err)
	}
}

// reset forgets what was asked, and is honest from now on.
func (f *front) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.bodies, f.answer = map[string]int{}, map[string][][]byte{}, nil
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	time.Sleep(f.away) // of a benchmark alone
	path := strings.TrimPrefix(r.URL.Path, node.Prefix)
	f.mu.Lock()
	f.asked[r.Method+" "+path]++
	f.bodies[path] = append(f.bodies[path], body)
	answer := f.answer
	f.mu.Unlock()
	if answer == nil || !answer(w, r, func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		f.n.ServeHTTP(rec, r)
		return rec
	}) {
		f.n.ServeHTTP(w, r)
	}
}

// requests is how many came since reset, and which.
func (f *front) requests() (n int, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(f.asked)) {
		n += f.asked[path]
		what += fmt.Sprintf("%s %d, ", path, f.asked[path])
	}
	return n, what
}

// of is how many requests came of a kind.
func (f *front) of(request string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[request]
}

// says lets the front change what is said to questions of a kind that come together.
func (f *front) says(asked node.Asked, change func(questions []node.Question, said []node.Said) []node.Said) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = func(w http.ResponseWriter, r *http.Request, honest func() *httptest.ResponseRecorder) bool {
		if r.URL.Path != node.PathBulk {
			return false
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		questions, err := node.BulkForm.Parse(body)
		if err != nil || questions[0].Asked != asked {
			return false
		}
		rec := honest()
		said, err := node.SaidForm(len(questions)).Parse(rec.Body.Bytes())
		if err != nil {
			return false
		}
		said = change(questions, said)
		maps.Copy(w.Header(), rec.Header())
		w.Header().Del("Content-Length")
		w.Write(node.SaidForm(len(said)).Marshal(said))
		return true
	}
}

// old lets the node be one that knows no bulk requests.
func (f *front) old() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
		if r.URL.Path == node.PathBulk {
			r.URL.Path += "-of-later"
		}
		return false
	}
}

// farTown is a node behind a front, with a patient who gave many consents to a clinic.
type farTown struct {
	*front
	r               *remoteNode
	patient, clinic *wallet.Wallet
	consents        []contract.ID
}

// newFarTown makes n consents, for a record each.
func newFarTown(t testing.TB, n int) *farTown {
	t.Helper()
	ctx := context.Background()
	f := newFront(t)
	tn := &farTown{front: f, r: &remoteNode{t: t, d: district{t.TempDir()}, inv: f.inv}}
	tn.patient, tn.clinic = tn.person(patientHome, "Maria"), tn.person(clinicHome, "Dr Smith")
	if _, _, err := tn.patient.Contacts().Add(ctx, "Dr Smith", tn.clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	var plans []*wallet.GrantPlan
	for i := range n {
		rec := add(t, tn.patient, fmt.Sprintf("%d.txt", i), fmt.Sprint("text ", i))
		plans = append(plans, must(tn.patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: []string{rec.ID.String()}, NotAfter: contract.Hour(noon.Unix()/3600) + 24}))(t))
	}
	if err := tn.patient.Grants().GiveAll(ctx, plans); err != nil {
		t.Fatal(err)
	}
	for _, c := range must(tn.patient.Consents().List(ctx))(t) {
		tn.consents = append(tn.consents, c.ID)
	}
	tn.reset()
	return tn
}

// person makes a wallet that other processes can open.
func (tn *farTown) person(home, name string) *wallet.Wallet {
	tn.r.t.Helper()
	w, err := wallet.Create(context.Background(), tn.options(home), crypto.NewEntropy(), name, tn.inv.String())
	if err != nil {
		tn.r.t.Fatal(err)
	}
	return w
}

// again opens a wallet as a new process would.
func (tn *farTown) again(home string) *wallet.Wallet {
	tn.r.t.Helper()
	return must(wallet.Open(context.Background(), tn.options(home)))(tn.r.t)
}

func (tn *farTown) options(home string) wallet.Options {
	o := tn.r.d.options(home, tn.r.services())
	o.Now = tn.clock
	return o
}

// openAll opens consents as carekey fetch --all does, and returns how many could be, with
// what each says, and why others could not.
func openAll(w *wallet.Wallet, ids []contract.ID) (n int, failed []error) {
	ctx := context.Background()
	var pace wallet.Pace
	for len(ids) > 0 {
		some := ids[:pace.Next(len(ids))]
		ids = ids[len(some):]
		opened, errs, err := w.Inbox().OpenAll(ctx, some, "check-up")
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for i, o := range opened {
			var text bytes.Buffer
			err := errs[i]
			if err == nil {
				pace.Add(o)
				err = o.Read(ctx, 0, &text, nil)
			}
			if err == nil && (o.Consent.Consent != some[i] || "text "+strings.TrimSuffix(o.Records[0].File, ".txt") != text.String()) {
				err = fmt.Errorf("%s opens %s: %q", some[i], o.Records[0].File, text.String())
			}
			if err != nil {
				failed = append(failed, err)
			} else {
				n++
			}
		}
	}
	return n, failed
}

// opened is how often each consent was opened, as the patient's audit shows it, and how
// many attempts were refused.
func (tn *farTown) opened() (times map[contract.ID]int, refused int) {
	tn.r.t.Helper()
	times = map[contract.ID]int{}
	for _, e := range must(tn.patient.Audit().Events(context.Background()))(tn.r.t) {
		switch e.What {
		case wallet.Opened:
			times[e.Consent]++
		case wallet.Refused:
			refused++
		}
	}
	return times, refused
}

// rows does what people do with all their consents, each by do, which is named and takes
// at most so many requests.
func (tn *farTown) rows(measure func(name string, most int, do func())) {
	t, n := tn.r.t, len(tn.consents)
	t.Helper()
	ctx := context.Background()
	measure("inbox", 15, func() {
		for _, r := range must(tn.clinic.Inbox().List(ctx))(t) {
			if r.Missing || r.Damaged != nil {
				t.Errorf("%+v", r)
			}
		}
	})
	measure("fetch", 40, func() {
		if got, failed := openAll(tn.clinic, tn.consents); got != n {
			t.Errorf("%d opened: %v", got, errors.Join(failed...))
		}
	})
	measure("status", 6, func() {
		if s := must(tn.patient.Audit().Status(ctx))(t); len(s.Consents) != n || len(s.Accesses) != n || len(s.Missing) > 0 || s.Accesses[0].Reason != "check-up" {
			t.Errorf("%d consents, %d accesses, %v missing", len(s.Consents), len(s.Accesses), s.Missing)
		}
	})
	measure("revoke", 8, func() {
		var ids []contract.ID
		for _, c := range must(tn.patient.Consents().Select(ctx, wallet.RevokeRequest{To: "Dr Smith"}))(t) {
			ids = append(ids, c.ID)
		}
		done := must(tn.patient.Consents().Revoke(ctx, ids))(t)
		for _, r := range done {
			if r.Consent.Status != wallet.StatusRevoked || len(r.Acks) == 0 {
				t.Errorf("%+v", r)
			}
		}
		if len(done) != n {
			t.Errorf("%d ended", len(done))
		}
	})
}

// Looking at a hundred consents at a node, opening and ending them takes few requests. A
// node that is older is asked one by one, and the same is seen.
func TestFewRequests(t *testing.T) {
	tn := newFarTown(t, lane.Pick(100, 100, 20))
	tn.rows(func(name string, most int, do func()) {
		tn.reset()
		do()
		all, what := tn.requests()
		t.Logf("%s: %d requests: %s", name, all, what)
		if all > most {
			t.Errorf("%s: %d requests, and %d are enough: %s", name, all, most, what)
		}
	})
	tn = newFarTown(t, lane.Pick(ledgerclient.MaxBulk+2, 8, 8))
	tn.rows(func(name string, _ int, do func()) {
		tn.reset()
		tn.old()
		do()
		if all, what := tn.requests(); all < len(tn.consents) && name != "revoke" {
			t.Errorf("%s: %d requests at a node that takes one question at a time: %s", name, all, what)
		}
	})
}

// BenchmarkBudgetFar prints what a hundred consents (twenty with -short) take at a node that is 50 ms away, in
// seconds and in requests, and how many times longer it takes at a node that is asked one by
// one.
func BenchmarkBudgetFar(b *testing.B) {
	for range b.N {
		took := map[string]time.Duration{}
		for _, old := range []bool{false, true} {
			tn := newFarTown(b, lane.Pick(100, 100, 20))
			tn.rows(func(name string, _ int, do func()) {
				tn.reset()
				if old {
					tn.old()
				}
				tn.away = 50 * time.Millisecond
				begun := time.Now()
				do()
				d := time.Since(begun)
				tn.away = 0
				if all, _ := tn.requests(); old {
					b.ReportMetric(d.Seconds()/took[name].Seconds(), name+"-ratio")
				} else {
					took[name] = d
					b.ReportMetric(d.Seconds(), name+"-s")
					b.ReportMetric(float64(all), name+"-requests")
				}
			})
		}
	}
	b.ReportMetric(0, "ns/op")
}

// Threat: a node drops, repeats, swaps or reorders what it says to questions that came
// together, says more than was asked, or never has room. Nothing of one consent is taken
// for another's, what it said rightly counts, and nothing is lost: the next use finds all
// of it.
func TestHostileAnswersToMany(t *testing.T) {
	ctx := context.Background()
	const n = 5
	lies := map[string]func([]node.Question, []node.Said) []node.Said{
		"drop": func(_ []node.Question, said []node.Said) []node.Said { return said[:len(said)-1] },
		"more": func(_ []node.Question, said []node.Said) []node.Said { return append(said, said[0]) },
		"swap": func(_ []node.Question, said []node.Said) []node.Said {
			said[0], said[1] = said[1], said[0]
			return said
		},
		"repeat":  func(_ []node.Question, said []node.Said) []node.Said { return slices.Repeat(said[:1], len(said)) },
		"reorder": func(_ []node.Question, said []node.Said) []node.Said { slices.Reverse(said); return said },
		"nonsense": func(_ []node.Question, said []node.Said) []node.Said {
			said[2] = node.Said{How: node.SaidProblem, Answer: []byte("no problem document")}
			return said
		},
		"garbage": func(_ []node.Question, said []node.Said) []node.Said {
			said[3] = node.Said{How: node.SaidAnswer, Answer: []byte("no answer")}
			return said
		},
	}
	// How many are right all the same.
	right := map[string]int{"drop": 0, "more": 0, "swap": n - 2, "repeat": 1, "reorder": 1, "nonsense": n - 1, "garbage": n - 1}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			tn := newFarTown(t, n)
			tn.says(node.AskPayload, lie)
			rs, err := tn.clinic.Inbox().List(ctx)
			known := 0
			for _, r := range rs {
				if !r.Missing {
					known++
				}
			}
			if err == nil && known != right[name] || err != nil && right[name] != 0 {
				t.Errorf("inbox: %d known, %v", known, err)
			}
			tn.reset()
			for _, r := range must(tn.clinic.Inbox().List(ctx))(t) {
				if r.Missing {
					t.Errorf("inbox afterwards: %+v", r)
				}
			}
			tn.says(node.AskState, lie)
			if got, failed := openAll(tn.clinic, tn.consents); got != right[name] || len(failed) == 0 {
				t.Errorf("%d may be opened: %v", got, errors.Join(failed...))
			}
			if times, _ := tn.opened(); len(times) != right[name] {
				t.Errorf("%d openings are on the ledger", len(times)) // none of which is not known whether it would open
			}
			tn.says(node.AskRelease, lie)
			if got, failed := openAll(tn.clinic, tn.consents); got != right[name] || len(failed) == 0 {
				t.Errorf("%d opened: %v", got, errors.Join(failed...))
			}
			tn.reset()
			if got, failed := openAll(tn.clinic, tn.consents); got != n {
				t.Errorf("%d opened afterwards: %v", got, errors.Join(failed...))
			}
			if times, _ := tn.opened(); len(times) != n || slices.Max(slices.Collect(maps.Values(times))) != 1 {
				t.Errorf("openings: %v", times)
			}
			tn.says(node.AskInquiry, lie)
			events, err := tn.patient.Audit().Events(ctx)
			unknown := slices.ContainsFunc(events, func(e wallet.Event) bool { return slices.Contains(e.Missing, "keeper") })
			if err == nil && !unknown {
				t.Error("the audit shows what no keeper said")
			}
		})
	}
}

// One answer that has no room is asked for again, and alone in the end; a node that has
// room for none of them is asked one by one.
func TestAskAgain(t *testing.T) {
	const n = 5
	tn := newFarTown(t, n)
	must(tn.clinic.Inbox().List(context.Background()))(t)
	for name, again := range map[string]func(questions []node.Question, i int) bool{
		"one":  func(questions []node.Question, i int) bool { return i == 2 },
		"most": func(questions []node.Question, i int) bool { return i > 0 },
		"all":  func([]node.Question, int) bool { return true },
	} {
		tn.reset()
		tn.says(node.AskRelease, func(questions []node.Question, said []node.Said) []node.Said {
			for i := range said {
				if again(questions, i) {
					said[i] = node.Said{How: node.SaidAgain}
				}
			}
			return said
		})
		if got, failed := openAll(tn.clinic, tn.consents); got != n {
			t.Errorf("%s: %d opened: %v", name, got, errors.Join(failed...))
		}
		_, what := tn.requests()
		t.Logf("%s: %s", name, what)
		if alone := tn.of("POST keeper/release"); alone > n || alone < 1 {
			t.Errorf("%s: %s", name, what)
		}
	}
}

// One of many that cannot be opened any more is refused by itself; the attempt is shown to
// the patient, and to her alone.
func TestOneOfManyIsRefused(t *testing.T) {
	ctx := context.Background()
	const n = 6
	tn := newFarTown(t, n)
	ended := tn.consents[2]
	must(tn.patient.Consents().Revoke(ctx, []contract.ID{ended}))(t)
	got, failed := openAll(tn.clinic, tn.consents)
	var refused *wallet.RefusedError
	if got != n-1 || len(failed) != 1 || !errors.As(failed[0], &refused) || refused.Consent != ended || !refused.Filed {
		t.Errorf("%d opened: %v", got, errors.Join(failed...))
	}
	times, attempts := tn.opened()
	if len(times) != n-1 || times[ended] != 0 || attempts != 1 {
		t.Errorf("opened %v, %d attempts", times, attempts)
	}
}

// A connection breaks in the middle of an answer, or before it: what of the many was
// ordered and released then is known to the next use, which goes on with it. Nothing is
// opened or ended twice.
func TestManyAndTheConnectionBreaks(t *testing.T) {
	ctx := context.Background()
	const n = 5
	tn := newFarTown(t, 8*n)
	must(tn.clinic.Inbox().List(ctx))(t)
	broken := func(path string, half bool) {
		tn.mu.Lock()
		defer tn.mu.Unlock()
		tn.answer = func(w http.ResponseWriter, r *http.Request, honest func() *httptest.ResponseRecorder) bool {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			if r.Method != http.MethodPost || r.URL.Path != node.Prefix+path || path == "bulk" && node.Asked(body[0]) != node.AskRelease {
				return false
			}
			rec := honest()
			if half {
				w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
				w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			}
			panic(http.ErrAbortHandler)
		}
	}
	left := slices.Chunk(tn.consents, n)
	next := func() (ids []contract.ID) {
		for ids = range left {
			break
		}
		left = slices.Chunk(tn.consents[slices.Index(tn.consents, ids[0])+n:], n)
		return ids
	}
	for _, path := range []string{"bulk", "blobs", "entries"} {
		for _, half := range []bool{false, true} {
			ids := next()
			broken(path, half)
			if got, failed := openAll(tn.clinic, ids); got > 0 || len(failed) == 0 || ledgerclient.Unreachable(errors.Join(failed...)) == nil {
				t.Errorf("%s: %d opened: %v", path, got, errors.Join(failed...))
			}
			tn.reset()
			tn.clinic = tn.again(clinicHome)
			if got, failed := openAll(tn.clinic, ids); got != n {
				t.Errorf("%s, then: %d opened: %v", path, got, errors.Join(failed...))
			}
		}
	}
	if times, refused := tn.opened(); len(times) != 6*n || slices.Max(slices.Collect(maps.Values(times))) != 1 || refused != 0 {
		t.Errorf("openings: %v, refused %d", times, refused)
	}
	for _, path := range []string{"keeper/revoke", "entries"} {
		ids := next()
		broken(path, true)
		if _, err := tn.patient.Consents().Revoke(ctx, ids); err == nil {
			t.Errorf("%s: all are ended", path)
		}
		tn.reset()
		tn.patient = tn.again(patientHome)
		for _, c := range must(tn.patient.Consents().List(ctx))(t) {
			if slices.Contains(ids, c.ID) && c.Status != wallet.StatusRevoked {
				t.Errorf("%s: %+v", path, c)
			}
		}
	}
}

// openMany is another process, in which a clinic opens what it was given: arg is an
// invitation, and then the consents.
func openMany(d district, arg string) error {
	args := strings.Fields(arg)
	inv, err := node.ParseInvitation(args[0])
	if err != nil {
		return err
	}
	n, err := node.Dial(context.Background(), inv, node.Options{})
	if err != nil {
		return err
	}
	w, err := wallet.Open(context.Background(), d.options(clinicHome, n.Services()))
	if err != nil {
		return err
	}
	rs, err := w.Inbox().List(context.Background())
	if err != nil {
		return err
	}
	var ids []contract.ID
	for _, r := range rs {
		if slices.Contains(args, r.Consent.String()) {
			ids = append(ids, r.Consent)
		}
	}
	_, failed := openAll(w, ids)
	return errors.Join(failed...)
}

// Who opens many is killed with a request on its way, or answered: whichever it is, the
// next use opens them, and the patient sees one opening of each.
func TestManyAndKilled(t *testing.T) {
	const n, most = 3, 14
	tn := newFarTown(t, n*2*most)
	must(tn.clinic.Inbox().List(context.Background()))(t)
	step := lane.Pick(1, 3, 9) // odd: before and after take turns
	for at := 0; at < 2*most; at += step {
		ids := tn.consents[at*n : (at+1)*n]
		arg := tn.inv.String()
		for _, id := range ids {
			arg += " " + id.String()
		}
		child := otherProcess(t, "opening", tn.r.d, arg)
		child.Stderr = os.Stderr
		count, after := 0, at%2 == 1
		tn.mu.Lock()
		tn.answer = func(_ http.ResponseWriter, _ *http.Request, honest func() *httptest.ResponseRecorder) bool {
			tn.mu.Lock()
			count++
			now := count == at/2+1
			tn.mu.Unlock()
			if !now {
				return false
			}
			if after {
				honest()
			}
			tn.mu.Lock()
			child.Process.Kill()
			tn.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
		err := child.Start()
		tn.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		err = child.Wait()
		tn.reset()
		tn.mu.Lock()
		came := count
		tn.mu.Unlock()
		if got, failed := openAll(tn.again(clinicHome), ids); got != n {
			t.Errorf("killed at %d, after %t: %d opened: %v", at/2+1, after, got, errors.Join(failed...))
		}
		if err == nil { // it came to its end
			if at < 10 {
				t.Errorf("it has %d requests", came)
			}
			break
		}
		if at+step >= 2*most {
			t.Error("it has more requests than were tried")
		}
	}
	if times, refused := tn.opened(); slices.Max(slices.Collect(maps.Values(times))) != 1 || refused != 0 {
		t.Errorf("openings %v, %d refused", times, refused)
	}
}

// What a wallet asks together are the messages that it would ask one by one: each has its
// own nonce or response key, and a signature that stands alone; nothing in one is in
// another, and the order is not that in which they are kept.
func TestManyQuestionsHaveNothingInCommon(t *testing.T) {
	ctx := context.Background()
	const n = 30
	tn := newFarTown(t, n)
	rs := must(tn.clinic.Inbox().List(ctx))(t)
	if got, failed := openAll(tn.clinic, tn.consents); got != n {
		t.Fatal(got, failed)
	}
	must(tn.patient.Audit().Events(ctx))(t)
	ledger, _ := tn.patient.Ledger()
	tn.mu.Lock()
	defer tn.mu.Unlock()
	asked := map[node.Asked][]contract.ID{}
	pieces := map[[8]byte]string{}
	for _, body := range tn.bodies["bulk"] {
		questions, err := node.BulkForm.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range questions {
			// What all have in common is who is asked, and about which ledger.
			rest := q.Message
			switch q.Asked {
			case node.AskState, node.AskInquiry:
				m := must(ledgerclient.Parse[ledgerclient.Inquiry](q.Message))(t)
				asked[q.Asked], rest = append(asked[q.Asked], m.Grant), slices.Concat(m.Nonce[:], m.Signature[:])
			case node.AskRelease:
				m := must(ledgerclient.Parse[ledgerclient.Request](q.Message))(t)
				if err := m.Verify(); err != nil || contract.CheckSignature(ledger, &m.Access) != nil {
					t.Errorf("a request does not stand alone: %v", err)
				}
				asked[q.Asked], rest = append(asked[q.Asked], m.Access.Subject), slices.Concat(m.Access.SelfTag[:], m.Access.Commitment[:], m.Response[1:], m.Signature[:])
			}
			for ; len(rest) >= 8; rest = rest[1:] {
				key := [8]byte(rest)
				if before, ok := pieces[key]; ok && before != string(q.Message) {
					t.Fatalf("%x is in two questions", key)
				}
				pieces[key] = string(q.Message)
			}
		}
	}
	if len(asked) != 3 {
		t.Errorf("asked %d kinds", len(asked))
	}
	var kept []contract.ID
	for _, r := range rs {
		kept = append(kept, r.Consent)
	}
	for what, ids := range asked {
		if len(ids) != n || slices.Equal(ids, kept) {
			t.Errorf("%d: %d were asked about, in the order of the ledger: %t", what, len(ids), slices.Equal(ids, kept))
		}
	}
	var entries []contract.Entry
	for _, body := range tn.bodies["entries"] {
		entries = append(entries, must(node.EntriesForm.Parse(body))(t)...)
	}
	if len(entries) != n || slices.EqualFunc(entries, kept, func(e contract.Entry, id contract.ID) bool { return e.Subject == id }) {
		t.Error("the accesses are sent in the order of the ledger")
	}
}

// How many are opened together: few at first, and then the fewer the larger those are that
// were opened.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		consents int
		size     int64 // of each
		want     []int
	}{
		{100, 1 << 10, []int{16, 64, 20}},
		{100, 0, []int{16, 64, 20}},
		{3, 1 << 10, []int{3}},
		{200, 1 << 20, []int{16, 64, 64, 56}},
		{52, 8 << 20, []int{16, 8, 8, 8, 8, 4}},
		{18, 1 << 30, []int{16, 1, 1}},
	} {
		var p wallet.Pace
		var got []int
		for left := c.consents; left > 0; {
			n := p.Next(left)
			left -= n
			got = append(got, n)
			for range n {
				p.Add(&wallet.Opening{Records: []wallet.OpenedRecord{{Metadata: payload.Metadata{Size: c.size}}}})
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d of %d bytes: %v, want %v", c.consents, c.size, got, c.want)
		}
	}
}
