package wallet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/home"
)

// planFrom is the plan of a file's text.
func planFrom(w *wallet.Wallet, text string, prune bool, now time.Time) (*batch.Plan, error) {
	return batch.Make(context.Background(), w, strings.NewReader(text), batch.Options{File: "rows.csv", Prune: prune, Now: now, Profile: "me"})
}

// summary is a plan in short: its items, one a line.
func summary(p *batch.Plan) string {
	var b strings.Builder
	for _, x := range p.Items {
		fmt.Fprintf(&b, "%d %s %s", x.Line, x.Do, x.To)
		for _, r := range x.Records {
			fmt.Fprintf(&b, " %s.%d", r.Title, r.Version)
		}
		fmt.Fprintf(&b, " %s until %s", x.Purpose, wallet.HourTime(contract.Hour(x.Until)).Format("2006-01-02"))
		if x.Why != "" {
			b.WriteString(" " + x.Why)
		}
		for word, on := range map[string]bool{" loses": x.Loses, " sooner": x.Sooner, " overlap": x.Overlap} {
			if on {
				b.WriteString(word)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// state lists the consents of a wallet, without their ids.
func consentsOf(t testing.TB, w *wallet.Wallet) string {
	t.Helper()
	cs, err := w.Consents().List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range cs {
		var titles []string
		for _, r := range c.Records {
			titles = append(titles, fmt.Sprintf("%s.%d", r.Title, r.Version))
		}
		slices.Sort(titles)
		lines = append(lines, fmt.Sprintf("%s %s %s %d-%d %s", c.To, strings.Join(titles, ","), c.Purpose, c.NotBefore, c.NotAfter, c.Status))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// batchTown is a patient with three records and some contacts.
func batchTown(t testing.TB) (*town, *wallet.Wallet) {
	t.Helper()
	tn := newTown(t)
	w := tn.person("Maria")
	for _, name := range []string{"Ann", "Bob", "Cleo"} {
		if _, _, err := w.Contacts().Add(context.Background(), name, crypto.NewEntropy().Root().Identity().Address().String()); err != nil {
			t.Fatal(err)
		}
		if err := w.Contacts().SetVerified(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
	for title, c := range map[string]wallet.Category{"blood": "labs", "urine": "labs", "x-ray": "images"} {
		if _, _, err := w.Records().Add(context.Background(), wallet.Source{Reader: strings.NewReader(title), Name: title, Size: int64(len(title))}, wallet.Describe{Title: title, Category: c}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return tn, w
}

// chunks makes jobs of chunks of n items, and returns what undoes it.
func chunks(n int) (undo func()) {
	was := batch.ChunkSize
	batch.ChunkSize = n
	return func() { batch.ChunkSize = was }
}

func apply(t testing.TB, w *wallet.Wallet, p *batch.Plan) batch.Status {
	t.Helper()
	s, err := batch.Apply(context.Background(), w, p, nil)
	if err != nil || !s.Finished || s.Done != len(p.Items) {
		t.Fatalf("%+v, %v", s, err)
	}
	return s
}

// What a file wants is compared with what is in force: what is there stays, what
// is missing is given, another window replaces, and what no row names is left
// alone unless the plan prunes.
func TestBatchPlan(t *testing.T) {
	tn, w := batchTown(t)
	ctx := context.Background()
	plan := func(text string, prune bool) *batch.Plan {
		t.Helper()
		p, err := planFrom(w, text, prune, tn.now)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	is := func(p *batch.Plan, stay, already int, lines ...string) {
		t.Helper()
		var want string
		for _, l := range lines {
			want += l + "\n"
		}
		have := strings.Split(summary(p), "\n")
		for i := range have { // the order of a set is that of random ids
			f := strings.Fields(have[i])
			if j := slices.IndexFunc(f, func(s string) bool { return strings.Contains(s, ".") }); j >= 0 {
				k := j
				for k < len(f) && strings.Contains(f[k], ".") {
					k++
				}
				slices.Sort(f[j:k])
				have[i] = strings.Join(f, " ")
			}
		}
		if got := strings.Join(have, "\n"); got != want || p.Stay != stay || p.Already != already {
			t.Errorf("%d stay, %d already; want %d, %d\n%s-- want\n%s", p.Stay, p.Already, stay, already, got, want)
		}
	}
	first := "to,categories,until\nAnn,labs,2026-12-31\nBob,images,2026-12-31\n"
	p := plan(first, false)
	is(p, 0, 0, "2 grant Ann blood.1 urine.1 treatment until 2027-01-01", "3 grant Bob x-ray.1 treatment until 2027-01-01")
	if s := apply(t, w, p); s.Granted != 2 {
		t.Fatalf("%+v", s)
	}
	is(plan(first, false), 2, 2)
	// Another window replaces; another purpose is another consent.
	is(plan("to,categories,until,purpose\nAnn,labs,2026-11-30,\nBob,images,2026-12-31,research\n", false), 1, 0,
		"2 grant Ann blood.1 urine.1 treatment until 2026-12-01", "3 grant Bob x-ray.1 research until 2027-01-01",
		"2 revoke Ann blood.1 urine.1 treatment until 2027-01-01 replaced sooner")
	// More records with the same window: only what is missing is given.
	is(plan("to,categories,until\nAnn,labs images,2026-12-31\n", false), 2, 0, "2 grant Ann x-ray.1 treatment until 2027-01-01")
	// Fewer records: the consent gives more than the row names, and stays.
	recs, err := w.Records().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	blood := recs[slices.IndexFunc(recs, func(r wallet.Record) bool { return r.Title == "blood" })]
	fewer := "to,records,until\nAnn," + blood.ID.String()[:10] + ",2026-12-31\n"
	is(plan(fewer, false), 2, 0, "2 grant Ann blood.1 treatment until 2027-01-01 overlap")
	is(plan(fewer, true), 0, 0, "2 grant Ann blood.1 treatment until 2027-01-01 overlap",
		"0 revoke Ann blood.1 urine.1 treatment until 2027-01-01 pruned loses", "0 revoke Bob x-ray.1 treatment until 2027-01-01 pruned loses")
	// Two rows with the same window share what they give.
	is(plan("to,categories,until\nCleo,labs,2026-12-31\nCleo,all,2026-12-31\n", false), 2, 0,
		"2 grant Cleo blood.1 urine.1 treatment until 2027-01-01", "3 grant Cleo x-ray.1 treatment until 2027-01-01")
	// A new version is given anew; the old consent stays, since what it gave is known.
	if _, _, err := w.Records().Update(ctx, blood.ID.String(), wallet.Source{Reader: strings.NewReader("more"), Name: "blood", Size: 4}, wallet.Describe{}, nil); err != nil {
		t.Fatal(err)
	}
	is(plan(first, false), 2, 1, "2 grant Ann blood.2 treatment until 2027-01-01")
	// Changes.
	cs, err := w.Consents().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	is(plan("action,to,consent,categories,until\nrevoke,Bob,,,\nrevoke,,"+cs[0].ID.String()[:8]+",,\ngrant,Bob,,images,2026-12-31\n", false), 0, 0,
		"4 grant Bob x-ray.1 treatment until 2027-01-01",
		"2 revoke Bob x-ray.1 treatment until 2027-01-01 asked", "3 revoke Ann blood.1 urine.1 treatment until 2027-01-01 asked loses")
	is(plan("action,to\nrevoke,Cleo\n", false), 2, 1)
	if _, err := planFrom(w, "action,to\nrevoke,Bob\n", true, tn.now); err == nil {
		t.Error("a list of changes was pruned by")
	}
}

// Everything that names nothing is reported at once, each at its place, with what
// the file itself has wrong.
func TestBatchUnresolved(t *testing.T) {
	tn, w := batchTown(t)
	// A category without a record is no mistake: its row says so, and asks for nothing.
	p := must(planFrom(w, "to,categories,until\nBob,vitals,2026-12-31\nBob,labs vitals,2026-12-31\nBob,vitals,2027-12-31\n", false, tn.now))(t)
	if len(p.Items) != 1 || p.Already != 2 || p.Rows != 3 {
		t.Errorf("%d items, %d of %d rows ask for nothing", len(p.Items), p.Already, p.Rows)
	}
	if !slices.Contains(p.Warnings, batch.Warning{Kind: "empty", Other: "vitals", Line: 2, Count: 3}) {
		t.Errorf("%+v", p.Warnings)
	}
	_, err := planFrom(w, "to,records,categories,until\nBob,,vitals,2026-12-31\nEve,,labs,2026-12-31\nB0b,,labs,2026-12-31\nBob,abcdef012345,,2026-12-31\nBob,,labs,soon\n", false, tn.now)
	var bad *batch.LinesError
	if !errors.As(err, &bad) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range bad.Problems {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Why))
	}
	want := []string{
		"3:1 no contact of that name", "4:1 no contact of that name; one looks like it: Bob",
		"5:5 no record of yours has this id", "6:10 not a date like 2026-12-31",
	}
	if bad.Total != len(want) || len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasSuffix(got[i], want[i][strings.Index(want[i], " "):]) || !strings.HasPrefix(got[i], want[i][:2]) {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}

func TestBatchWarnings(t *testing.T) {
	tn, w := batchTown(t)
	ctx := context.Background()
	if _, _, err := w.Contacts().Add(ctx, "B0b", crypto.NewEntropy().Root().Identity().Address().String()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Contacts().Add(ctx, "Me", w.Address().String()); err != nil {
		t.Fatal(err)
	}
	p, err := planFrom(w, "to,categories,until,purpose\nB0b,labs,2076-12-31,research\nMe,labs,2026-12-31,\nAnn,labs,2026-12-31,\n", false, tn.now)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range p.Warnings {
		got = append(got, strings.Join(strings.Fields(fmt.Sprint(x.Kind, " ", x.Who, " ", x.Other, " ", x.Line, " ", x.Count)), " "))
	}
	want := []string{"unverified B0b 2 1", "long 2 1", "new-purpose research 2 1", "lookalike B0b Bob 2 1", "unverified Me 3 1", "self Me 3 1", "new-purpose treatment 3 2", "unseen 2 3"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What a plan says that somebody gains and loses is what she can open by all consents
// together: giving again what she can open already is no gain, and ending one of two
// consents no loss.
func TestBatchPeople(t *testing.T) {
	tn, w := batchTown(t)
	ctx := context.Background()
	people := func(text string, prune bool) string {
		t.Helper()
		p := must(planFrom(w, text, prune, tn.now))(t)
		same := must(batch.Parse(w, must(p.Marshal(w))(t)))(t)
		var out []string
		for i, q := range p.People {
			line := fmt.Sprintf("%s +%d -%d =%d", q.Who, q.Give, q.End, q.Stay)
			for _, c := range q.Access {
				line += fmt.Sprintf("; %s %d %s", c.Change, c.Records, strings.Join(slices.Sorted(slices.Values(c.Titles)), ","))
				if c.Last > 0 {
					line += " " + wallet.HourTime(contract.Hour(c.First)).Format("01-02") + " " + wallet.HourTime(contract.Hour(c.Last)).Format("01-02")
				}
			}
			out = append(out, line)
			if fmt.Sprint(same.People[i]) != fmt.Sprint(q) {
				t.Errorf("%+v was written, %+v read", q, same.People[i])
			}
		}
		return strings.Join(out, "\n")
	}
	is := func(have, want string) {
		t.Helper()
		if have != want {
			t.Errorf("%s\nwant %s", have, want)
		}
	}
	first := "to,categories,purpose,until\nAnn,labs,,2026-12-31\nAnn,images,,2026-12-20\nBob,labs,,2026-12-31\n"
	is(people(first, false), "Ann +2 -0 =0; gains 3 blood,urine,x-ray 12-21 01-01\nBob +1 -0 =0; gains 2 blood,urine 01-01 01-01")
	apply(t, w, must(planFrom(w, first, false, tn.now))(t))
	is(people("to,categories,purpose,until\nAnn,labs,research,2026-12-10\n", false), "Ann +1 -0 =2; keeps 3 blood,urine,x-ray 12-21 01-01")
	is(people("to,categories,purpose,until\nAnn,all,research,2026-12-24\n", false), "Ann +1 -0 =2; longer 1 x-ray 12-25 12-25; keeps 2 blood,urine 01-01 01-01")
	is(people("to,categories,purpose,until\nAnn,labs,,2026-12-10\n", true), "Ann +1 -2 =0; loses 1 x-ray; sooner 2 blood,urine 12-11 12-11\nBob +0 -1 =0; loses 2 blood,urine")
	cs := must(w.Consents().List(ctx))(t)
	i := slices.IndexFunc(cs, func(c wallet.Consent) bool { return c.To == "Ann" && len(c.Records) == 1 })
	is(people("action,consent\nrevoke,"+cs[i].ID.String()+"\n", false), "Ann +0 -1 =1; loses 1 x-ray; keeps 2 blood,urine 01-01 01-01")
	// A newer version; and ending what another consent gives as well is no loss.
	j := slices.IndexFunc(must(w.Records().List(ctx))(t), func(r wallet.Record) bool { return r.Title == "x-ray" })
	if _, _, err := w.Records().Update(ctx, must(w.Records().List(ctx))(t)[j].ID.String(), wallet.Source{Reader: strings.NewReader("again"), Name: "x", Size: 5}, wallet.Describe{Title: "x-ray", Category: "images"}, nil); err != nil {
		t.Fatal(err)
	}
	second := "to,categories,until\nAnn,images,2026-12-20\n"
	is(people(second, false), "Ann +1 -0 =2; newer 1 x-ray 12-21 12-21; keeps 2 blood,urine 01-01 01-01")
	apply(t, w, must(planFrom(w, second, false, tn.now))(t))
	p := must(planFrom(w, "action,consent\nrevoke,"+cs[i].ID.String()+"\n", false, tn.now))(t)
	if x := p.Items[0]; x.Loses || x.Sooner {
		t.Errorf("%+v", x)
	}
}

// Rows and consents of one person with a thousand windows: what stays, what is
// replaced and what is new is found for each, and only once.
func TestBatchManyWindows(t *testing.T) {
	tn, w := batchTown(t)
	n := lane.Pick(300, 300, 60)
	rows := func(from, to int) string {
		b := strings.Builder{}
		b.WriteString("to,categories,until\n")
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, "Ann,labs,%s\n", tn.now.AddDate(0, 0, 10+i).Format("2006-01-02"))
		}
		return b.String()
	}
	apply(t, w, must(planFrom(w, rows(0, n), false, tn.now))(t))
	if p := must(planFrom(w, rows(0, n), true, tn.now))(t); len(p.Items) != 0 || p.Stay != n || p.Already != n {
		t.Errorf("%d items, %d stay, %d rows already", len(p.Items), p.Stay, p.Already)
	}
	p := must(planFrom(w, rows(n/2, n+n/2), false, tn.now))(t)
	kinds := map[string]int{}
	for _, x := range p.Items {
		kinds[string(x.Do)+" "+x.Why]++
	}
	if kinds["grant "] != n/2 || kinds["revoke replaced"] != n/2 || len(kinds) != 2 || p.Already != n/2 {
		t.Errorf("%v, %d already", kinds, p.Already)
	}
	seen := map[contract.ID]bool{}
	for _, x := range p.Items {
		if x.Do == batch.Revoke {
			if seen[x.Consent] || x.Line != 2 || x.Loses || x.Sooner {
				t.Fatalf("%+v", x)
			}
			seen[x.Consent] = true
		}
	}
}

// A plan is refused once a consent in its scope has changed, and only then; and
// when it is another wallet's, or not as it was written.
func TestBatchScope(t *testing.T) {
	tn, w := batchTown(t)
	ctx := context.Background()
	apply(t, w, must(planFrom(w, "to,categories,until\nAnn,labs,2026-12-31\nBob,labs,2026-12-31\n", false, tn.now))(t))
	p := must(planFrom(w, "to,categories,until\nAnn,images,2026-12-31\n", false, tn.now))(t)
	pruning := must(planFrom(w, "to,categories,until\nAnn,images,2026-12-31\n", true, tn.now))(t)
	data := must(p.Marshal(w))(t)
	same := must(batch.Parse(w, data))(t)
	if summary(same) != summary(p) || same.Scope != p.Scope {
		t.Fatal("another plan was read than was written")
	}
	// The ledger moves on, and so do consents out of scope.
	add(t, w, "else.txt", "something else")
	apply(t, w, must(planFrom(w, "action,to\nrevoke,Bob\n", false, tn.now))(t))
	if _, err := batch.Check(ctx, w, same); err != nil {
		t.Errorf("refused for what is not in its scope: %v", err)
	}
	if _, err := batch.Apply(ctx, w, pruning, nil); !errors.Is(err, batch.ErrStalePlan) {
		t.Errorf("a plan that prunes: %v", err)
	}
	other := tn.person("Eve")
	if _, err := batch.Parse(other, data); !errors.Is(err, batch.ErrForeignPlan) {
		t.Errorf("another wallet: %v", err)
	}
	if _, err := batch.Parse(w, []byte(strings.Replace(string(data), `"name": "Ann"`, `"name": "Bob"`, 1))); !errors.Is(err, batch.ErrForeignPlan) {
		t.Errorf("changed: %v", err)
	}
	for what, bad := range map[string]string{
		"cut off": string(data[:len(data)-2]), "longer": string(data) + " ", "line ends": strings.ReplaceAll(string(data), "\n", "\r\n"), "key twice": strings.Replace(string(data), `"rows"`, `"made"`, 1),
		"unknown key": strings.Replace(string(data), `"rows"`, `"lines"`, 1), "empty": "",
		"rows": "to,categories,until\nAnn,labs,2026-12-31\n", "sealed by nobody": "{\n \"rows\": 1,\n \"seal\": \"AAAA\"\n}\n",
	} {
		if _, err := batch.Parse(w, []byte(bad)); !errors.Is(err, batch.ErrForeignPlan) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A consent that the ledger refuses ends as refused, the rest is carried out, and
// what it should have replaced is kept.
func TestBatchRefused(t *testing.T) {
	tn, w := batchTown(t)
	ctx := context.Background()
	defer chunks(2)()
	apply(t, w, must(planFrom(w, "to,categories,until\nAnn,labs,2026-12-31\nBob,labs,2026-12-31\n", false, tn.now))(t))
	p := must(planFrom(w, "to,categories,until\nAnn,labs,2026-11-22\nBob,labs,2026-12-20\nCleo,all,2026-12-24\n", false, tn.now))(t)
	tn.now = tn.now.Add(50 * time.Hour) // the first window is over
	s, err := batch.Apply(ctx, w, p, nil)
	if err != nil || s.Granted != 2 || s.Failed != 1 || s.Kept != 1 || s.Revoked != 1 || !s.Finished {
		t.Fatalf("%+v, %v", s, err)
	}
	var got []string
	err = batch.Results(ctx, w, func(r batch.Result) error {
		got = append(got, fmt.Sprintf("%d %s %s %t", r.Line, r.To, r.Status, r.Err != nil))
		return nil
	})
	want := []string{"2 Ann refused true", "3 Bob granted false", "4 Cleo granted false", "2 Ann kept false", "3 Bob revoked false"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// A batch that was stopped goes on, another cannot begin beside it, and it can be
// dropped.
func TestBatchStopped(t *testing.T) {
	tn, w := batchTown(t)
	defer chunks(1)()
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := batch.Resume(ctx, w, nil); !errors.Is(err, wallet.ErrNotFound) {
		t.Fatalf("%v", err)
	}
	text := "to,categories,until\nAnn,labs,2026-12-31\nBob,labs,2026-12-31\nCleo,labs,2026-12-31\n"
	p := must(planFrom(w, text, false, tn.now))(t)
	s, err := batch.Apply(ctx, w, p, func(s batch.Status) {
		if s.Done == 1 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || s.Done != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	ctx = context.Background()
	w = tn.again("Maria")
	more := must(planFrom(w, "to,categories,until\nAnn,images,2026-12-31\n", false, tn.now))(t)
	if _, err := batch.Apply(ctx, w, more, nil); !errors.Is(err, batch.ErrUnfinished) || err.Error() != "batch-unfinished left=2" {
		t.Fatalf("%v", err)
	}
	if s, err := batch.StatusOf(ctx, w); err != nil || s.Done != 1 || s.Items != 3 || s.Finished {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := batch.Resume(ctx, w, nil); err != nil || s.Granted != 3 || !s.Finished {
		t.Fatalf("%+v, %v", s, err)
	}
	apply(t, w, more) // what ended meanwhile was given to others
	if _, err := batch.Drop(ctx, w); err != nil {
		t.Fatal(err)
	}
	if _, err := batch.StatusOf(ctx, w); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// What another process changes between two chunks counts, also for those that were
// signed ahead: a removed record is not given, what was to replace by it is kept, and
// what was revoked is not revoked twice.
func TestBatchOvertaken(t *testing.T) {
	tn, w := batchTown(t)
	defer chunks(1)()
	ctx := context.Background()
	apply(t, w, must(planFrom(w, "to,categories,until\nAnn,labs,2026-11-30\nCleo,images,2026-11-30\n", false, tn.now))(t))
	before := must(w.Consents().List(ctx))(t)
	ann := before[slices.IndexFunc(before, func(c wallet.Consent) bool { return c.To == "Ann" })]
	xray := must(w.Records().List(ctx))(t)
	gone := xray[slices.IndexFunc(xray, func(r wallet.Record) bool { return r.Title == "x-ray" })]
	p := must(planFrom(w, "to,categories,until\nAnn,labs,2026-12-31\nBob,labs,2026-12-31\nCleo,images,2026-12-31\n", false, tn.now))(t)
	s, err := batch.Apply(ctx, w, p, func(s batch.Status) {
		if s.Done != 1 {
			return
		}
		other := tn.again("Maria")
		if _, _, err := other.Records().Remove(ctx, gone.ID.String()); err != nil {
			t.Error(err)
		}
		if _, err := other.Consents().Revoke(ctx, []contract.ID{ann.ID}); err != nil {
			t.Error(err)
		}
	})
	s.Begun = 0
	if want := (batch.Status{File: "rows.csv", Items: 5, Done: 5, Granted: 2, Revoked: 1, Failed: 1, Kept: 1, Finished: true}); err != nil || s != want {
		t.Fatalf("%+v, %v", s, err)
	}
	var got []string
	err = batch.Results(ctx, w, func(r batch.Result) error {
		got = append(got, fmt.Sprintf("%s %s %t", r.To, r.Status, r.Err != nil))
		return nil
	})
	want := []string{"Ann granted false", "Bob granted false", "Cleo removed true", "Ann revoked false", "Cleo kept false"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// A batch that is dropped while a chunk of it waits to be sent: the chunk ends as it was
// signed, nobody is told, and the next batch is not taken for it.
func TestBatchDroppedWhileItWaits(t *testing.T) {
	tn, w := batchTown(t)
	defer chunks(1)()
	ctx := context.Background()
	p := must(planFrom(w, "to,categories,until\nAnn,labs,2026-12-31\nBob,labs,2026-12-31\n", false, tn.now))(t)
	opt := tn.options("Maria")
	opt.Services.Ledger = deafLedger{opt.Services.Ledger}
	away := must(wallet.Open(ctx, opt))(t)
	if _, err := batch.Apply(ctx, away, p, nil); !errors.Is(err, wallet.ErrPending) {
		t.Fatal(err)
	}
	if s, err := batch.Drop(ctx, away); err != nil || s.Done != 0 || s.Items != 2 || tn.waiting("Maria") != 1 {
		t.Fatalf("%+v, %v, %d wait", s, err, tn.waiting("Maria"))
	}
	w = tn.again("Maria")
	if _, err := batch.StatusOf(ctx, w); !errors.Is(err, wallet.ErrNotFound) {
		t.Fatal(err)
	}
	job := filepath.Join(opt.Dir, home.LedgerFolder(w.Settings().Default), "batch")
	if _, err := os.Lstat(job); tn.waiting("Maria") != 0 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%d wait, %v", tn.waiting("Maria"), err)
	}
	if cs := must(w.Consents().List(ctx))(t); len(cs) != 1 || cs[0].To != "Ann" {
		t.Errorf("%+v", cs)
	}
	apply(t, w, must(planFrom(w, "to,categories,until\nCleo,labs,2026-12-31\n", false, tn.now))(t))
	ended(t, w, 1, consentsOf(t, w))
}

// A job that another carekey wrote is neither read nor written over.
func TestBatchOfAnotherVersion(t *testing.T) {
	tn, w := batchTown(t)
	ctx := context.Background()
	p := must(planFrom(w, "to,categories,until\nAnn,labs,2026-12-31\n", false, tn.now))(t)
	apply(t, w, p)
	next := must(planFrom(w, "to,categories,until\nBob,labs,2026-12-31\n", false, tn.now))(t)
	if err := w.WriteNewer(filepath.Join(home.LedgerFolder(w.Settings().Default), "batch", "job")); err != nil {
		t.Fatal(err)
	}
	errs := map[string]error{"results": batch.Results(ctx, w, func(batch.Result) error { return nil })}
	_, errs["status"] = batch.StatusOf(ctx, w)
	_, errs["check"] = batch.Check(ctx, w, next)
	_, errs["apply"] = batch.Apply(ctx, w, next, nil)
	_, errs["resume"] = batch.Resume(ctx, w, nil)
	_, errs["drop"] = batch.Drop(ctx, w)
	for what, err := range errs {
		if other, _ := fault.As(err, wallet.ErrVersion); other.Value("version") != 99 || other.Value("what") != "batch" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if cs := must(w.Consents().List(ctx))(t); len(cs) != 1 || !w.Job().Exists() {
		t.Errorf("%+v", cs)
	}
}

// deafLedger shows everything and takes nothing.
type deafLedger struct{ ledgerclient.Ledger }

func (deafLedger) Append(context.Context, []contract.Entry) ([]ledgerclient.Outcome, error) {
	return nil, &ledgerclient.UnreachableError{Service: "ledger", Err: errors.New("no answer")}
}

// batchRows is a file that gives, replaces and prunes.
const batchRows = "to,categories,until,purpose\nAnn,labs,2026-12-31,\nBob,labs,2026-12-31,\nCleo,all,2027-01-31,\nAnn,images,2027-02-28,research\n" +
	"Bob,images,2027-02-28,\nCleo,labs,2027-03-31,research\nAnn,labs,2027-03-31,test\n"

// batchGround makes the consents that batchRows changes.
func batchGround(t testing.TB, w *wallet.Wallet, now time.Time) {
	t.Helper()
	apply(t, w, must(planFrom(w, "to,categories,until\nAnn,labs,2026-11-30\nBob,labs,2026-12-31\nBob,all,2026-12-20\nCleo,images,2026-12-20\n", false, now))(t))
}

// ended checks that a job came to its end with every item once.
func ended(t testing.TB, w *wallet.Wallet, items int, want string) {
	t.Helper()
	ctx := context.Background()
	n := 0
	seen := map[contract.ID]bool{}
	err := batch.Results(ctx, w, func(r batch.Result) error {
		n++
		if r.Err != nil || seen[r.Consent] || r.Status != "granted" && r.Status != "revoked" {
			t.Errorf("%+v", r)
		}
		seen[r.Consent] = true
		c, code, err := w.Consents().Show(ctx, r.Consent.String())
		if err != nil || r.Status == "granted" && (code.Consent != r.Code.Consent || c.Status != wallet.StatusActive) || r.Status == "revoked" && c.Status != wallet.StatusRevoked {
			t.Errorf("%+v: %+v, %v", r, c, err)
		}
		x, err := w.Consents().Explain(ctx, r.Consent.String())
		if err != nil || x.Allowed != (r.Status == "granted") {
			t.Errorf("%+v: %+v, %v", r, x, err)
		}
		return nil
	})
	if err != nil || n != items {
		t.Errorf("%d results of %d items, %v", n, items, err)
	}
	if have := consentsOf(t, w); have != want {
		t.Errorf("consents\n%s\nwant\n%s", have, want)
	}
}

// Each call of a service fails once, before or after it took effect, as when the
// network is dropped or a disk is full: the batch goes on and ends as if nothing
// had happened.
func TestBatchFaults(t *testing.T) {
	defer chunks(3)()
	tn, w := batchTown(t)
	batchGround(t, w, tn.now)
	ctx := context.Background()
	if _, err := batch.Drop(ctx, w); err != nil {
		t.Fatal(err)
	}
	origin := tn.dir
	run := func(x *mishap) (want string, items int) {
		dir := filepath.Join(t.TempDir(), "town")
		if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
			t.Fatal(err)
		}
		here := &town{t: t, dir: dir, keys: tn.keys, now: tn.now}
		f, err := folder.Open(here.ledgerDir(), folder.Options{Clock: here.clock})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		opt := wallet.Options{Dir: filepath.Join(dir, "home of Maria"), Keyring: here.keys, Services: f.Services(), Now: here.clock}
		w, err := wallet.Open(ctx, opt)
		if err != nil {
			t.Fatal(err)
		}
		p := must(planFrom(w, batchRows, true, here.now))(t)
		opt.Services = faultyServices(f.Services(), x)
		if w, err = wallet.Open(ctx, opt); err == nil {
			_, err = batch.Apply(ctx, w, p, nil)
		}
		if (err != nil) != (x.hit.Load() != nil && x.err != nil) && err != nil {
			t.Errorf("call %d: %v", x.n, err)
		}
		opt.Services = f.Services()
		if w, err = wallet.Open(ctx, opt); err != nil {
			t.Fatal(err)
		}
		if _, err = batch.StatusOf(ctx, w); errors.Is(err, wallet.ErrNotFound) {
			_, err = batch.Apply(ctx, w, p, nil) // it had not begun
		} else if err == nil {
			_, err = batch.Resume(ctx, w, nil)
		}
		if err != nil {
			t.Fatalf("call %d (%v): afterwards %v", x.n, x.hit.Load(), err)
		}
		want = consentsOf(t, w)
		if x.n > 0 {
			ended(t, w, len(p.Items), want)
		}
		return want, len(p.Items)
	}
	clean := &mishap{}
	want, items := run(clean)
	calls := clean.calls.Load()
	if items < 9 || calls < 20 {
		t.Fatalf("%d items, %d calls", items, calls)
	}
	step := lane.Pick(int64(2), 7, 7)
	tried := 0
	for n := int64(1); n <= calls; n += step {
		x := &mishap{n: n, after: n%4 < 2, err: &ledgerclient.UnreachableError{Service: "ledger", Err: errors.New("dropped")}}
		if n%3 == 0 {
			x.err = &os.PathError{Op: "write", Path: "x", Err: errors.New("no space left on device")}
		}
		if have, _ := run(x); have != want {
			t.Errorf("call %d (%v) failed: consents\n%s\nwant\n%s", n, x.hit.Load(), have, want)
		}
		tried++
	}
	t.Logf("%d of %d calls failed once", tried, calls)
}

// batchPlanFile holds the plan that processes carry out.
const batchPlanFile = "plan.json"

// workBatch carries a plan out, or on, and says what it is at.
func workBatch(d district) error {
	defer chunks(2)()
	ctx := context.Background()
	f, err := d.folder()
	if err != nil {
		return err
	}
	defer f.Close()
	say := func(what string) { os.Stdout.WriteString(what + "\n") }
	w, err := wallet.Open(ctx, d.options(patientHome, talkingServices(f.Services(), say)))
	if err != nil {
		return err
	}
	_, err = batch.StatusOf(ctx, w)
	switch {
	case errors.Is(err, wallet.ErrNotFound):
		data, err := os.ReadFile(filepath.Join(d.dir, batchPlanFile))
		if err != nil {
			return err
		}
		p, err := batch.Parse(w, data)
		if err != nil {
			return err
		}
		if _, err := batch.Apply(ctx, w, p, func(batch.Status) { say("chunk") }); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if _, err := batch.Resume(ctx, w, func(batch.Status) { say("chunk") }); err != nil {
			return err
		}
	}
	say("end")
	return nil
}

// talkingServices says before and after every call that changes something.
func talkingServices(s ledgerclient.Services, say func(string)) ledgerclient.Services {
	out := ledgerclient.Services{Ledger: talkingLedger{s.Ledger, say}, Store: talkingStore{s.Store, say}}
	for _, k := range s.Keepers {
		out.Keepers = append(out.Keepers, talkingKeeper{k, say})
	}
	return out
}

type talkingLedger struct {
	ledgerclient.Ledger
	say func(string)
}

func (l talkingLedger) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	l.say("append")
	defer l.say("appended")
	return l.Ledger.Append(ctx, es)
}

type talkingStore struct {
	ledgerclient.Store
	say func(string)
}

func (s talkingStore) PutBlobs(ctx context.Context, puts []ledgerclient.Put) error {
	s.say("put")
	defer s.say("stored")
	return s.Store.PutBlobs(ctx, puts)
}

type talkingKeeper struct {
	ledgerclient.Keeper
	say func(string)
}

func (k talkingKeeper) Deposit(ctx context.Context, ds []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	k.say("deposit")
	defer k.say("deposited")
	return k.Keeper.Deposit(ctx, ds)
}

func (k talkingKeeper) Revoke(ctx context.Context, es []contract.Entry) ([]ledgerclient.Acknowledgement, error) {
	k.say("revoke")
	defer k.say("told")
	return k.Keeper.Revoke(ctx, es)
}

// TestBatchKilled kills processes that carry a batch out, many times, each when it
// has said a random number of things; the next one goes on. However it went, the
// consents at the end are the same, and every item has ended once.
func TestBatchKilled(t *testing.T) {
	kills := lane.Pick(200, 12, 3)
	defer chunks(2)()
	base := newDistrict(t, filepath.Join(t.TempDir(), "base"))
	ctx := context.Background()
	var items int
	func() {
		patient, _, f, err := base.open()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, name := range []string{"Ann", "Bob", "Cleo"} {
			if _, _, err := patient.Contacts().Add(ctx, name, crypto.NewEntropy().Root().Identity().Address().String()); err != nil {
				t.Fatal(err)
			}
		}
		for title, c := range map[string]wallet.Category{"blood": "labs", "x-ray": "images"} {
			if _, _, err := patient.Records().Add(ctx, source(title, 1), wallet.Describe{Title: title, Category: c}, nil); err != nil {
				t.Fatal(err)
			}
		}
		batchGround(t, patient, noon)
		if _, err := batch.Drop(ctx, patient); err != nil {
			t.Fatal(err)
		}
		p := must(planFrom(patient, batchRows, true, noon))(t)
		items = len(p.Items)
		if err := os.WriteFile(filepath.Join(base.dir, batchPlanFile), must(p.Marshal(patient))(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}()
	r := rand.New(rand.NewPCG(20, 26))
	var want string
	lines, killed, rounds := 0, 0, 0
	for ; killed < kills; rounds++ {
		d := district{filepath.Join(t.TempDir(), "round")}
		if err := os.CopyFS(d.dir, os.DirFS(base.dir)); err != nil {
			t.Fatal(err)
		}
		for {
			aim := 0
			if lines > 0 {
				aim = 1 + r.IntN(lines/2)
			}
			said, end := killAt(t, d, aim)
			if end {
				lines = max(lines, said)
				break
			}
			killed++
		}
		patient, _, f, err := d.open()
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = consentsOf(t, patient)
		}
		ended(t, patient, items, want)
		f.Close()
		if left := d.journal(t); len(left) > 0 {
			t.Errorf("in the journal: %v", left)
		}
		if t.Failed() {
			t.Fatalf("after %d kills in %d rounds", killed, rounds)
		}
	}
	t.Logf("%d kills in %d rounds of %d items", killed, rounds, items)
}

// killAt runs a process until it has said aim lines (0: for ever) and kills it. It
// returns how many it said, and whether it had come to its end.
func killAt(t testing.TB, d district, aim int) (said int, end bool) {
	t.Helper()
	cmd := otherProcess(t, "batch", d, "")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said++
		end = end || lines.Text() == "end"
		if said == aim {
			killed = cmd.Process.Kill() == nil
		}
	}
	if err := cmd.Wait(); err != nil && !killed {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return said, end
}
