package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
)

// What audit asks a node when nothing is new are the keepers about open consents: ten times
// as many that have ended, and were opened, are not one request more.
func TestAuditAsksAboutOpenConsents(t *testing.T) {
	ctx := context.Background()
	const open = 3
	requests := func(ended int) int {
		tn := newFarTown(t, ended+open)
		must(tn.clinic.Inbox().List(ctx))(t)
		if got, failed := openAll(tn.clinic, tn.consents); got != len(tn.consents) {
			t.Fatal(got, failed)
		}
		// Not one behind the other, so that open ones are among the ended.
		over := slices.Concat(tn.consents[1:ended/2], tn.consents[ended/2+1:ended+2])
		must(tn.patient.Consents().Revoke(ctx, over))(t)
		first := must(tn.patient.Audit().Events(ctx))(t)
		tn.reset()
		again := must(tn.again(patientHome).Audit().Events(ctx))(t)
		n, what := tn.requests()
		t.Logf("%d ended: %d requests: %s", ended, n, what)
		asked := 0
		for _, body := range tn.bodies["bulk"] {
			for _, q := range must(node.BulkForm.Parse(body))(t) {
				asked++
				if m := must(ledgerclient.Parse[ledgerclient.Inquiry](q.Message))(t); slices.Contains(over, m.Grant) {
					t.Errorf("%s has ended, and was asked about", m.Grant)
				}
			}
		}
		if asked != open {
			t.Errorf("%d were asked about, and %d are open", asked, open)
		}
		for i := range again {
			e := &again[i]
			if kept := e.KeepersAsOf != 0; kept != slices.Contains(over, e.Consent) {
				t.Errorf("%s of %s: as of %d", e.What, e.Consent, e.KeepersAsOf)
			}
			e.KeepersAsOf = 0
		}
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%d events, and %d that are others", len(first), len(again))
		}
		tn.reset()
		if es := must(tn.again(patientHome).Audit().Again().Events(ctx))(t); !reflect.DeepEqual(first, es) {
			t.Errorf("%d events, and %d that are others when all is asked again", len(first), len(es))
		}
		of := map[node.Asked]int{}
		for _, body := range tn.bodies["bulk"] {
			for _, q := range must(node.BulkForm.Parse(body))(t) {
				of[q.Asked]++
			}
		}
		if of[node.AskInquiry] != ended+open || of[node.AskPayload] != ended+open {
			t.Errorf("all is asked again: %v", of)
		}
		return n
	}
	few, many := requests(8), requests(lane.Pick(8*ledgerclient.MaxBulk, ledgerclient.MaxBulk+16, 24))
	if many != few {
		t.Errorf("%d requests, and %d where more have ended", few, many)
	}
}

// Threat: a keeper signs that it destroyed the share of a consent that is open, so that it is
// not asked about that any more.
func TestOpenConsentsAreAskedAbout(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	must2(patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()))(t)
	grant(t, patient, "Dr Smith", tn.now)
	for range 2 {
		o := tn.options("Maria")
		o.Services.Keepers = []ledgerclient.Keeper{lyingKeeper{Keeper: o.Services.Keepers[0], key: keeperKey(t, tn), over: true}}
		es := must(must(wallet.Open(ctx, o))(t).Audit().Events(ctx))(t)
		if !slices.ContainsFunc(es, func(e wallet.Event) bool { return e.What == wallet.Destroyed }) {
			t.Errorf("the lie is not shown: %+v", es)
		}
		for _, e := range es {
			if e.KeepersAsOf != 0 {
				t.Errorf("%s: as of %d", e.What, e.KeepersAsOf)
			}
		}
	}
}

// Threat: a keeper goes on filing refused attempts when a consent has ended, and an answer of
// before does not have them. It is shown with its hour; an older one, put back by whoever
// reads the folder, with an older hour; what was changed or lost is asked for.
func TestKeptAnswersHaveTheirHour(t *testing.T) {
	ctx := context.Background()
	tn := newFarTown(t, 3)
	over, open := tn.consents[1], tn.consents[2]
	must(tn.patient.Consents().Revoke(ctx, []contract.ID{over}))(t)
	try := func() {
		t.Helper()
		if got, failed := openAll(tn.again(clinicHome), []contract.ID{over}); got != 0 || len(failed) != 1 {
			t.Fatal(got, failed)
		}
	}
	// wants sees how many attempts of the ended consent an audit shows, and as of when.
	hour := wallet.Hour(noon.Unix() / 3600)
	wants := func(what string, a wallet.Audit, refused int, asOf wallet.Hour) []wallet.Event {
		t.Helper()
		es, err := a.Events(ctx)
		n := 0
		for _, e := range es {
			if e.What == wallet.Refused {
				n++
			}
			if want := map[bool]wallet.Hour{true: asOf}[e.Consent == over]; e.KeepersAsOf != want {
				t.Errorf("%s: %s of %s as of %d, want %d", what, e.What, e.Consent, e.KeepersAsOf, want)
			}
		}
		if n != refused || err != nil {
			t.Errorf("%s: %d attempts, want %d: %v", what, n, refused, err)
		}
		return es
	}
	audit := func() wallet.Audit { return tn.again(patientHome).Audit() }

	try()
	wants("asked first", audit(), 1, 0)
	wants("kept", audit(), 1, hour)
	older := filepath.Join(t.TempDir(), "older")
	home := tn.r.d.home(patientHome)
	if err := os.CopyFS(older, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	tn.pass(t)
	try()
	wants("what came since is not asked for", audit(), 1, hour)
	if s := must(audit().Peek(ctx))(t); len(s.Accesses) != 2 {
		t.Errorf("%d attempts are news", len(s.Accesses))
	}
	wants("what was shown is shown", audit(), 2, hour+1)
	wants("asked again", audit().Again(), 2, 0)
	tn.pass(t)
	if s := must(audit().Peek(ctx))(t); len(s.Accesses) != 2 {
		t.Errorf("%d attempts are news", len(s.Accesses))
	}
	wants("the same as before", audit(), 2, hour+1)
	wants("asked again an hour later", audit().Again(), 2, 0)
	wants("the same at a later hour", audit(), 2, hour+2)

	// No keeper answers: what is kept is there, and that it is not all of it is said.
	tn.mu.Lock()
	tn.answer = func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
		if r.URL.Path == node.PathBulk || r.URL.Path == node.PathInquire {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	tn.mu.Unlock()
	for _, e := range wants("no answer", audit().Again(), 2, hour+2) {
		if !slices.Contains(e.Missing, "keeper") {
			t.Errorf("%s of %s lacks %v", e.What, e.Consent, e.Missing)
		}
	}
	for _, e := range wants("no answer, and asked about open ones", audit(), 2, hour+2) {
		if slices.Contains(e.Missing, "keeper") != (e.Consent != over) {
			t.Errorf("%s of %s lacks %v", e.What, e.Consent, e.Missing)
		}
	}
	tn.reset()

	// put makes the patient's folder what it was, with one file changed.
	put := func(from string, change func(cache string)) {
		t.Helper()
		if err := os.RemoveAll(home); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(home, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		change(onlyMatch(t, filepath.Join(home, "ledgers", "*", "cache")))
	}
	newest := filepath.Join(t.TempDir(), "newest")
	if err := os.CopyFS(newest, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	put(older, func(string) {})
	wants("put back", audit(), 1, hour)
	put(newest, func(cache string) {
		if err := os.Remove(cache); err != nil {
			t.Fatal(err)
		}
	})
	wants("lost", audit(), 2, 0)
	put(newest, func(cache string) {
		b := must(os.ReadFile(cache))(t)
		b[len(b)-1] ^= 1
		if err := os.WriteFile(cache, b, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	wants("changed", audit(), 2, 0)
	put(newest, func(cache string) { // another one of this wallet's, which the state does not count
		if err := os.WriteFile(cache, must(os.ReadFile(onlyMatch(t, filepath.Join(older, "ledgers", "*", "cache"))))(t), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	wants("the cache put back alone", audit(), 2, 0)

	w, _, err := wallet.Restore(ctx, tn.options("new"), wallet.RestoreRequest{Entropy: must(wallet.Entropy(ctx, tn.options(patientHome)))(t), At: tn.inv.String(), Name: "Maria"})
	if err != nil {
		t.Fatal(err)
	}
	wants("restored", w.Audit(), 2, 0)

	// One whose window is over, and whose share the keeper may still hold, is asked about.
	tn.late.Add(24)
	tn.pass(t)
	w = tn.again(patientHome)
	for range 2 {
		for _, e := range must(w.Audit().Events(ctx))(t) {
			if e.Consent == open && e.KeepersAsOf != 0 {
				t.Errorf("%s: as of %d", e.What, e.KeepersAsOf)
			}
		}
	}
	if c, _, err := w.Consents().Show(ctx, open.String()); err != nil || c.Status != wallet.StatusExpired {
		t.Errorf("%s, %v", c.Status, err)
	}
}

// Threat: what is kept of a consent that ended by its time alone hides what keepers say when it
// is revoked after that, as somebody does who wants to be sure. They are asked anew.
func TestKeptAnswersAreOfTheEnd(t *testing.T) {
	ctx := context.Background()
	tn := newFarTown(t, 2)
	id := tn.consents[1]
	tn.late.Add(10 * 24)
	tn.pass(t)
	add(t, tn.again(patientHome), "letter.txt", "it is later on the ledger")
	tn.n.Stop()
	f := must(folder.Open(tn.n.Dir, folder.Options{Clock: tn.clock}))(t)
	sweeper := folder.Sweeper{Folder: f}
	if err := errors.Join(sweeper.Sweep(ctx), f.Close()); err != nil {
		t.Fatal(err)
	}
	tn.pass(t)
	kinds := func() (kinds []wallet.What, asOf wallet.Hour) {
		t.Helper()
		for _, e := range must(tn.again(patientHome).Audit().Events(ctx))(t) {
			if e.Consent == id {
				kinds, asOf = append(kinds, e.What), e.KeepersAsOf
			}
		}
		slices.Sort(kinds)
		return kinds, asOf
	}
	kinds()
	if is, asOf := kinds(); !slices.Equal(is, []wallet.What{wallet.Destroyed, wallet.Granted}) || asOf == 0 {
		t.Fatalf("over: %v as of %d", is, asOf)
	}
	done := must(tn.again(patientHome).Consents().Revoke(ctx, []contract.ID{id}))(t)
	if len(done) != 1 || !slices.ContainsFunc(done[0].Acks, func(a wallet.Acknowledged) bool { return a.End == ledgerclient.Stopped }) {
		t.Fatalf("%+v", done)
	}
	for kept := range 2 {
		if is, asOf := kinds(); !slices.Equal(is, []wallet.What{wallet.Destroyed, wallet.Granted, wallet.Revoked, wallet.Stopped}) || (asOf != 0) != (kept == 1) {
			t.Errorf("revoked: %v as of %d", is, asOf)
		}
	}
}

// Threat: a node that lies once about the history that a recipient saw makes what he said go
// away, for good where that is kept. The lie is named, and nothing of it stays.
func TestLieAboutAHandedHeadIsNamed(t *testing.T) {
	ctx := context.Background()
	tn := newFarTown(t, 3)
	if n, failed := openAll(tn.clinic, tn.consents); n != len(tn.consents) {
		t.Fatal(failed)
	}
	for i := range 5 { // so that the head that the clinic saw has to be proven
		add(t, tn.again(patientHome), fmt.Sprint(i, ".txt"), fmt.Sprint("more ", i))
	}
	tn.mu.Lock()
	tn.answer = func(w http.ResponseWriter, r *http.Request, honest func() *httptest.ResponseRecorder) bool {
		if !strings.HasPrefix(r.URL.Path, node.PathTile) {
			return false
		}
		rec := honest()
		body := rec.Body.Bytes()
		for i := range body {
			body[i] ^= 1
		}
		maps.Copy(w.Header(), rec.Header())
		w.Write(body)
		return true
	}
	tn.mu.Unlock()
	if es, err := tn.again(patientHome).Audit().Events(ctx); isTampered(err) == nil {
		t.Errorf("%d events, %v", len(es), err)
	}
	tn.reset()
	opened := 0
	for _, e := range must(tn.again(patientHome).Audit().Events(ctx))(t) {
		if e.What != wallet.Opened {
			continue
		}
		if opened++; e.Reason != "check-up" {
			t.Errorf("%s: %q, %v", e.Consent, e.Reason, e.Missing)
		}
	}
	if opened != len(tn.consents) {
		t.Errorf("%d openings", opened)
	}
}

// An opening is of the hour in which it was entered; of one that only waits to be entered no
// hour is known, also where there is one of before.
func TestHourOfAnOpening(t *testing.T) {
	ctx := context.Background()
	tn := newFarTown(t, 1)
	look := func() (*wallet.Wallet, wallet.Received) {
		t.Helper()
		w := tn.again(clinicHome)
		rs := must(w.Inbox().List(ctx))(t)
		if len(rs) != 1 {
			t.Fatalf("%d consents", len(rs))
		}
		return w, rs[0]
	}
	w, r := look()
	if hour, ok := w.Inbox().Entered(r); ok || hour != 0 {
		t.Errorf("not opened: %d, %v", hour, ok)
	}
	if n, failed := openAll(w, tn.consents); n != 1 {
		t.Fatal(failed)
	}
	if hour, ok := w.Inbox().Entered(r); !ok || hour != wallet.Hour(noon.Unix()/3600) {
		t.Errorf("opened: %d, %v", hour, ok)
	}
	tn.pass(t)
	w, r = look()
	tn.mu.Lock()
	tn.answer = func(_ http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
		if r.URL.Path == node.PathEntries {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	tn.mu.Unlock()
	if n, _ := openAll(w, tn.consents); n != 0 {
		t.Fatal("opened without an entry")
	}
	if hour, ok := w.Inbox().Entered(r); !ok || hour != 0 {
		t.Errorf("it waits: %d, %v", hour, ok)
	}
}
