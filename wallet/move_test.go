package wallet_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/wallet"
)

// journey is a patient with records and consents on one ledger, who has joined
// another one where her recipient is too.
type journey struct {
	from, to *town
	clinic   *wallet.Wallet // on the other ledger
}

func newJourney(t *testing.T) journey {
	t.Helper()
	ctx := context.Background()
	j := journey{from: newTown(t), to: newTown(t)}
	patient := j.from.person("Maria")
	j.clinic = j.to.person("Dr Smith")
	if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", j.clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	a := add(t, patient, "a.txt", "one")
	first := must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: []string{a.ID.String()}, NotAfter: endOf(1)}))(t)
	if _, _, err := patient.Grants().Give(ctx, first); err != nil {
		t.Fatal(err)
	}
	if _, _, err := patient.Records().Update(ctx, a.ID.String(), source("a", 2), wallet.Describe{}, nil); err != nil {
		t.Fatal(err)
	}
	add(t, patient, "b.txt", "b")
	for n := 2; n <= 4; n++ {
		c, _, err := patient.Grants().Give(ctx, must(patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: endOf(n), Purpose: "HRESCH"}))(t))
		if err != nil {
			t.Fatal(err)
		}
		if n == 3 { // is over, and stays
			must(patient.Consents().Revoke(ctx, []contract.ID{c.ID}))(t)
		}
	}
	o := j.from.options("Maria")
	o.Services = j.to.services()
	if _, _, err := wallet.Join(ctx, o, "there"); err != nil {
		t.Fatal(err)
	}
	return j
}

// open opens both sides with services that pass through over.
func (j *journey) open(t *testing.T, over func(ledgerclient.Services) ledgerclient.Services) (from, to *wallet.Wallet, err error) {
	t.Helper()
	ctx := context.Background()
	o := j.from.options("Maria")
	o.Services = over(o.Services)
	if from, err = wallet.Open(ctx, o); err != nil {
		return nil, nil, err
	}
	s := must(wallet.ReadSettings(o.Dir))(t)
	to, err = from.On(ctx, over(j.to.services()), s.Ledgers[1].ID)
	return from, to, err
}

// state is what holds on both sides: of each window's end the consents that are
// active, old and new, and the records of the new ledger.
func (j *journey) state(t *testing.T) (old, given map[contract.Hour]int, records []wallet.Record) {
	t.Helper()
	ctx := context.Background()
	from, to, err := j.open(t, func(s ledgerclient.Services) ledgerclient.Services { return s })
	if err != nil {
		t.Fatal(err)
	}
	active := func(w *wallet.Wallet) map[contract.Hour]int {
		out := map[contract.Hour]int{}
		for _, c := range must(w.Consents().List(ctx))(t) {
			if c.Status == wallet.StatusActive {
				out[contract.Hour(c.NotAfter)]++
			}
		}
		return out
	}
	old, given, records = active(from), active(to), must(to.Records().List(ctx))(t)
	if err := errors.Join(from.Changes().Stuck(), to.Changes().Stuck()); err != nil {
		t.Errorf("something waits: %v", err)
	}
	return old, given, records
}

// arrived checks the end of a move: all of it, once.
func (j *journey) arrived(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	old, given, records := j.state(t)
	if len(old) != 0 || len(given) != 3 || given[endOf(1)] != 1 || given[endOf(2)] != 1 || given[endOf(4)] != 1 {
		t.Errorf("active: old %v, new %v", old, given)
	}
	if len(records) != 2 || records[0].Title != "a" || records[0].Version != 2 || records[1].Title != "b" || records[1].Version != 1 {
		t.Errorf("records: %+v", records)
	}
	box := must(j.clinic.Inbox().List(ctx))(t)
	if len(box) != 3 {
		t.Fatalf("%d consents received", len(box))
	}
	for i, want := range [][]string{{"one"}, {textOf("a", 2), "b"}, {textOf("a", 2), "b"}} {
		o := must(j.clinic.Inbox().OpenByID(ctx, box[i].Consent.String(), ""))(t)
		for n := range want {
			var got bytes.Buffer
			if err := o.Read(ctx, n, &got, nil); err != nil || got.String() != want[n] {
				t.Errorf("consent %d, record %d: %q, %v", i, n, got.String(), err)
			}
		}
	}
}

// A move takes all versions and all open consents along, and leaves what must stay.
func TestMove(t *testing.T) {
	ctx := context.Background()
	j := newJourney(t)
	from, to, err := j.open(t, func(s ledgerclient.Services) ledgerclient.Services { return s })
	if err != nil {
		t.Fatal(err)
	}
	p := must(from.Moves().Plan(ctx, to))(t)
	if len(p.Records) != 2 || len(p.Consents) != 3 || len(p.Revoke) != 0 || p.Bytes == 0 || len(p.Stays) != 1 || p.Stays[0].What != wallet.StayEnded || p.Stays[0].Number != 1 {
		t.Errorf("plan: %+v", p)
	}
	m := must(from.Moves().Run(ctx, to, nil))(t)
	if m.Records != 2 || m.Versions != 3 || len(m.Consents) != 3 || len(m.Revoked) != 3 {
		t.Errorf("moved: %+v", m)
	}
	for _, c := range m.Consents {
		must(j.clinic.Inbox().OpenByCode(ctx, c.Code, ""))(t)
	}
	j.arrived(t)
	again := must(from.Moves().Run(ctx, to, nil))(t)
	if again.Versions != 0 || len(again.Consents) != 0 || len(again.Revoked) != 0 {
		t.Errorf("again: %+v", again)
	}
	if p := must(from.Moves().Plan(ctx, to))(t); len(p.Records)+len(p.Consents)+len(p.Revoke) != 0 {
		t.Errorf("plan for the rest: %+v", p)
	}
	j.arrived(t)
	if _, err := from.Moves().Plan(ctx, from); !errors.Is(err, wallet.ErrInput) {
		t.Errorf("to itself: %v", err)
	}
}

// Promise 8: a move whose n-th call of any service on either side fails, before or
// after its effect, is whole when it is run again; and at no moment does a consent
// hold on neither side.
func TestMoveInterrupted(t *testing.T) {
	ctx := context.Background()
	stride := lane.Pick(17, 37, 67)
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			n := 1 // where not each call is failed, each way begins with another one
			if after {
				n += stride / 2
			}
			for ; ; n += stride {
				j := newJourney(t)
				x := &mishap{n: int64(n), after: after, err: &ledgerclient.UnreachableError{Service: "all", Err: errors.New("it broke")}}
				from, to, err := j.open(t, func(s ledgerclient.Services) ledgerclient.Services { return faultyServices(s, x) })
				if err == nil {
					_, err = from.Moves().Run(ctx, to, nil)
				}
				hit, _ := x.hit.Load().(string)
				if hit == "" {
					if err != nil {
						t.Fatalf("no call failed, yet %v", err)
					}
					t.Logf("%d calls", n)
					return
				}
				old, given, _ := j.state(t)
				for _, end := range []contract.Hour{endOf(1), endOf(2), endOf(4)} {
					if old[end] == 0 && given[end] == 0 {
						t.Errorf("call %d, %s: the consent until %d holds nowhere", n, hit, end)
					}
				}
				from, to, err = j.open(t, func(s ledgerclient.Services) ledgerclient.Services { return s })
				if err != nil {
					t.Fatal(err)
				}
				if _, err := from.Moves().Run(ctx, to, nil); err != nil {
					t.Fatalf("call %d, %s: the second run: %v", n, hit, err)
				}
				j.arrived(t)
				if t.Failed() {
					t.Fatalf("call %d, %s", n, hit)
				}
			}
		})
	}
}

// What cannot be read stays, with the consents to it; nothing of either is ended.
func TestMoveLeavesWhatCannotBeRead(t *testing.T) {
	ctx := context.Background()
	j := newJourney(t)
	from, to, err := j.open(t, func(s ledgerclient.Services) ledgerclient.Services { return s })
	if err != nil {
		t.Fatal(err)
	}
	rec := must(from.Records().List(ctx))(t)[1]
	blobs := foldertest.Content(j.from.ledgerDir(), rec.ID.String())
	raw, err := os.ReadFile(blobs)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(blobs, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	m := must(from.Moves().Run(ctx, to, nil))(t)
	if m.Records != 1 || len(m.Consents) != 1 || len(m.Revoked) != 1 || len(m.Stays) != 4 {
		t.Errorf("%+v", m)
	}
	old, given, _ := j.state(t)
	if len(old) != 2 || given[endOf(1)] != 1 || len(given) != 1 {
		t.Errorf("old %v, new %v", old, given)
	}
	// Nothing is begun while a side is out of reach, or something waits for it.
	l := &line{}
	from, to, err = j.open(t, l.over)
	if err != nil {
		t.Fatal(err)
	}
	l.ledger = true
	if _, err := from.Moves().Plan(ctx, to); !errors.Is(err, errCut) {
		t.Error(err)
	}
}

// Where records are entered for a grant, an old version that cannot be read stays, and is
// told; a newest one is an error, since the one before it is not what is meant.
func TestEnterLeavesWhatCannotBeRead(t *testing.T) {
	ctx := context.Background()
	for _, newest := range []bool{false, true} {
		j := newJourney(t)
		from, to, err := j.open(t, func(s ledgerclient.Services) ledgerclient.Services { return s })
		if err != nil {
			t.Fatal(err)
		}
		records := must(from.Records().List(ctx))(t)
		a, old := records[0].ID, foldertest.Content(j.from.ledgerDir(), records[0].ID.String())
		other := foldertest.Content(j.from.ledgerDir(), records[1].ID.String())
		for _, path := range must(filepath.Glob(filepath.Join(filepath.Dir(old), "*")))(t) {
			if path != other && (path != old) == newest {
				raw := must(os.ReadFile(path))(t)
				raw[len(raw)/2] ^= 1
				if err := os.WriteFile(path, raw, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		there, stays, err := from.Moves().Enter(ctx, to, []contract.ID{a}, nil)
		if newest {
			if tampered := (*ledgerclient.TamperedError)(nil); !errors.As(err, &tampered) {
				t.Errorf("the newest version: %v", err)
			}
			continue
		}
		if err != nil || len(there) != 1 || len(stays) != 1 || stays[0].ID != a || stays[0].What != wallet.StayUnreadable {
			t.Fatalf("%v, %+v, %v", there, stays, err)
		}
		var got bytes.Buffer
		if r, err := to.Records().Open(ctx, there[a].String(), &got, false, nil); err != nil || got.String() != textOf("a", 2) || r.Title != "a" {
			t.Errorf("%+v %q, %v", r, got.String(), err)
		}
		if _, again, err := from.Moves().Enter(ctx, to, []contract.ID{a}, nil); err != nil || len(again) != 0 || len(must(to.Records().List(ctx))(t)) != 1 {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
}

// moveAll carries out the move of a district whose second ledger is beside the first.
func moveAll(d district, tell bool) error {
	ctx := context.Background()
	f, err := d.folder()
	if err != nil {
		return err
	}
	defer f.Close()
	there, err := folder.Open(filepath.Join(d.dir, "there"), folder.Options{Clock: d.clock})
	if err != nil {
		return err
	}
	defer there.Close()
	from, err := wallet.Open(ctx, d.options(patientHome, f.Services()))
	if err != nil {
		return err
	}
	s, err := wallet.ReadSettings(d.home(patientHome))
	if err != nil {
		return err
	}
	services := there.Services()
	if tell {
		services.Ledger = tellingLedger{services.Ledger}
	}
	to, err := from.On(ctx, services, s.Ledgers[1].ID)
	if err != nil {
		return err
	}
	_, err = from.Moves().Run(ctx, to, nil)
	return err
}

// tellingLedger says on standard output when entries are about to be sent, and when
// they were.
type tellingLedger struct{ ledgerclient.Ledger }

func (l tellingLedger) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	os.Stdout.WriteString("sending\n")
	out, err := l.Ledger.Append(ctx, es)
	os.Stdout.WriteString("sent\n")
	return out, err
}

// Promise 8: a move that is killed around any of its entries does the rest when it is
// run again, and nothing twice.
func TestMoveKilled(t *testing.T) {
	ctx := context.Background()
	step := lane.Pick(1, 3, 3)
	for said := 1; ; said += step { // the line that it is killed at
		d := newDistrict(t, t.TempDir())
		prefill(t, d)
		calmly(t, d, "update", 1)
		there, err := folder.Create(filepath.Join(d.dir, "there"), "There", d.clock)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := wallet.Join(ctx, d.options(patientHome, there.Services()), "there"); err != nil {
			t.Fatal(err)
		}
		there.Close()
		cmd := otherProcess(t, "move", d, "")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		n := 0
		for ; n < said; n++ {
			if _, err := lines.ReadString('\n'); err != nil {
				break
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		if err := moveAll(d, false); err != nil {
			t.Fatalf("killed at line %d: %v", said, err)
		}
		f, err := d.folder()
		if err != nil {
			t.Fatal(err)
		}
		from := must(wallet.Open(ctx, d.options(patientHome, f.Services())))(t)
		if there, err = folder.Open(filepath.Join(d.dir, "there"), folder.Options{Clock: d.clock}); err != nil {
			t.Fatal(err)
		}
		s := must(wallet.ReadSettings(d.home(patientHome)))(t)
		to := must(from.On(ctx, there.Services(), s.Ledgers[1].ID))(t)
		if cs := must(from.Consents().List(ctx))(t); len(cs) != 2 || cs[0].Status != wallet.StatusRevoked || cs[1].Status != wallet.StatusRevoked {
			t.Errorf("killed at line %d: old consents %+v", said, cs)
		}
		if cs := must(to.Consents().List(ctx))(t); len(cs) != 2 || cs[0].Status != wallet.StatusActive || cs[1].Status != wallet.StatusActive {
			t.Errorf("killed at line %d: new consents %+v", said, cs)
		}
		if rs := must(to.Records().List(ctx))(t); len(rs) != 1 || rs[0].Version != 2 {
			t.Errorf("killed at line %d: records %+v", said, rs)
		}
		f.Close()
		there.Close()
		if n < said {
			if said < 6 {
				t.Errorf("the move said %d lines, want 6", said-1)
			}
			return
		}
	}
}
