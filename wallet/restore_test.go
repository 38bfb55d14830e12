package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/wallet"
)

// device makes a wallet of that seed, as another machine of the same person would
// have it: in a home of its own.
func (tn *town) device(name string, seed crypto.Entropy) *wallet.Wallet {
	tn.t.Helper()
	w, err := wallet.Create(context.Background(), tn.options(name), seed, "Maria", tn.ledgerDir())
	if err != nil {
		tn.t.Fatal(err)
	}
	return w
}

func (tn *town) restore(name string, seed crypto.Entropy) (*wallet.Wallet, wallet.Restored, error) {
	return wallet.Restore(context.Background(), tn.options(name), wallet.RestoreRequest{Entropy: seed, At: tn.ledgerDir()})
}

// addMany adds records without looking at each.
func addMany(t *testing.T, w *wallet.Wallet, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		add(t, w, fmt.Sprintf("r%03d.txt", i), fmt.Sprintf("text of %03d", i))
	}
}

// grantMany gives record i to contact i modulo their number, as one batch.
func grantMany(t *testing.T, w *wallet.Wallet, now *town, from, to int) {
	t.Helper()
	ctx := context.Background()
	recs := must(w.Records().List(ctx))(t)
	contacts := w.Contacts().List()
	var plans []*wallet.GrantPlan
	for i := from; i < to; i++ {
		plans = append(plans, &wallet.GrantPlan{To: contacts[i%len(contacts)], Records: wallet.Wholes(recs[i%len(recs)]), Purpose: wallet.Treatment,
			NotAfter: must(wallet.EndAfter(fmt.Sprintf("%dd", 1+i%60), now.now))(t)})
	}
	if err := w.Grants().GiveAll(ctx, plans); err != nil {
		t.Fatal(err)
	}
}

// errGone is what a killed process meets.
var errGone = &ledgerclient.UnreachableError{Service: "test", Err: errors.New("killed")}

type refusingLedger struct {
	ledgerclient.Ledger
	off *bool
}

func (l refusingLedger) Append(ctx context.Context, e []contract.Entry) ([]ledgerclient.Outcome, error) {
	if *l.off {
		return nil, errGone
	}
	return l.Ledger.Append(ctx, e)
}

type refusingKeeper struct {
	ledgerclient.Keeper
	off *bool
}

func (k refusingKeeper) Deposit(ctx context.Context, d []ledgerclient.Deposit) ([]ledgerclient.Receipt, error) {
	if *k.off {
		return nil, errGone
	}
	return k.Keeper.Deposit(ctx, d)
}

// story is everything that a wallet can show.
type story struct {
	Records  []wallet.Record
	Consents []wallet.Consent
	Events   []string
	Inbox    []wallet.Received
	Contacts []wallet.Contact
	Name     string
}

func storyOf(t *testing.T, w *wallet.Wallet) story {
	t.Helper()
	ctx := context.Background()
	s := story{Records: must(w.Records().List(ctx))(t), Consents: must(w.Consents().List(ctx))(t), Inbox: must(w.Inbox().List(ctx))(t), Contacts: w.Contacts().List(), Name: w.Name()}
	for _, e := range must(w.Audit().Events(ctx))(t) {
		s.Events = append(s.Events, fmt.Sprint(e.Hour, e.What, e.Consent, e.Who, e.Reason, e.Verified, e.Records))
	}
	return s
}

// Promise 6: 24 words and the ledger bring back everything: two machines with one
// seed had written at the same time, batches were killed at every stage, and one
// machine is lost with what waited in its journal.
func TestRestore(t *testing.T) {
	records, consents, contacts := lane.Pick(200, 24, 8), lane.Pick(500, 60, 20), lane.Pick(20, 20, 8)
	ctx := context.Background()
	tn := newTown(t)
	seed := crypto.NewEntropy()
	laptop, phone := tn.device("laptop", seed), tn.device("phone", seed)
	clinic := tn.person("Dr Smith")
	for i := range contacts {
		w := laptop
		if i%2 == 1 {
			w = phone
		}
		a := clinic.Address()
		if i > 0 {
			a = crypto.NewEntropy().Root().Identity().Address()
		}
		must2(w.Contacts().Add(ctx, fmt.Sprintf("Dr %02d", i), a.String()))(t)
	}
	keep(t, laptop)
	keep(t, phone)
	if n := len(phone.Contacts().List()); n != contacts {
		t.Fatalf("the phone knows %d contacts", n)
	}
	addMany(t, laptop, 0, records/2)
	addMany(t, phone, records/2, records)

	// Entries of both machines between each other's, and batches that die at each stage.
	f, err := folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var noAppend, noDeposit bool
	services := f.Services()
	services.Ledger = refusingLedger{services.Ledger, &noAppend}
	services.Keepers = []ledgerclient.Keeper{refusingKeeper{services.Keepers[0], &noDeposit}}
	grantMany(t, laptop, tn, 0, consents/2-10)
	grantMany(t, phone, tn, consents/2, consents)
	killed := func(name string, from, to int) {
		opt := tn.options(name)
		opt.Services = services
		w := must(wallet.Open(ctx, opt))(t)
		recs, people := must(w.Records().List(ctx))(t), w.Contacts().List()
		var plans []*wallet.GrantPlan
		for i := from; i < to; i++ {
			plans = append(plans, &wallet.GrantPlan{To: people[0], Records: wallet.Wholes(recs[i%len(recs)]), Purpose: wallet.Treatment, NotAfter: must(wallet.EndAfter("30d", tn.now))(t)})
		}
		if err := w.Grants().GiveAll(ctx, plans); err == nil {
			t.Fatal("the batch was not killed")
		}
	}
	noAppend = true
	tn.device("tablet", seed)
	killed("tablet", 0, 5) // holes: payloads and nonces that the ledger never sees
	noAppend, noDeposit = false, true
	killed("laptop", consents/2-10, consents/2) // on the ledger, and no keeper has a share

	// Things happen to some of them.
	inbox := must(clinic.Inbox().List(ctx))(t)
	opened := 0
	for _, r := range inbox {
		if opened < 5 && r.Status == wallet.StatusActive && clinicCanOpen(clinic, r) {
			opened++
		}
	}
	var revoke []contract.ID
	given := must(phone.Consents().List(ctx))(t)
	for i := 0; i < len(given); i += 7 {
		revoke = append(revoke, given[i].ID)
	}
	must(phone.Consents().Revoke(ctx, revoke))(t)
	if _, _, err := phone.Records().Remove(ctx, must(phone.Records().List(ctx))(t)[1].ID.String()); err != nil {
		t.Fatal(err)
	}
	must2(clinic.Contacts().Add(ctx, "Maria", phone.Address().String()))(t)
	add(t, clinic, "letter.txt", "a letter")
	grant(t, clinic, "Maria", tn.now) // into the patient's inbox

	steps := map[wallet.RestoreStep]uint64{}
	var expected []uint64
	opt := tn.options("new laptop")
	back, got, err := wallet.Restore(ctx, opt, wallet.RestoreRequest{Entropy: seed, At: tn.ledgerDir(), Expect: func(entries uint64, most time.Duration) {
		if expected = append(expected, entries); most < time.Duration(entries)*time.Microsecond || len(steps) > 0 {
			t.Errorf("%d entries are to take %v, after %d steps", entries, most, len(steps))
		}
	}, Progress: func(step wallet.RestoreStep, done, total uint64) {
		if done > total || done < steps[step] {
			t.Errorf("%s: %d of %d after %d", step, done, total, steps[step])
		}
		steps[step] = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != records-1 || got.Removed != 1 || got.Consents != consents || got.Received != 1 || got.Contacts != contacts || len(got.Lost) != 0 || len(steps) != 3 {
		t.Errorf("restored %+v", got)
	}
	if n := len(got.Finished); n < 5 || n > 10 || len(got.Revoked) != 0 { // 10 were killed, every seventh is revoked
		t.Errorf("finished %d, revoked %d", n, len(got.Revoked))
	}
	want, have := storyOf(t, phone), storyOf(t, back)
	if !reflect.DeepEqual(want, have) {
		for i := range want.Events {
			if i < len(have.Events) && want.Events[i] != have.Events[i] {
				t.Errorf("event %d\n%s\n%s", i, want.Events[i], have.Events[i])
				break
			}
		}
		t.Errorf("the restored wallet tells another story: %d records, %d consents, %d events, %d received, %d contacts; want %d, %d, %d, %d, %d",
			len(have.Records), len(have.Consents), len(have.Events), len(have.Inbox), len(have.Contacts),
			len(want.Records), len(want.Consents), len(want.Events), len(want.Inbox), len(want.Contacts))
	}
	for i, r := range have.Records {
		if i%10 != 0 {
			continue
		}
		var out bytes.Buffer
		if _, err := back.Records().Open(ctx, r.ID.String(), &out, false, nil); err != nil || !strings.HasPrefix(out.String(), "text of ") {
			t.Errorf("record %d: %q %v", i, out.String(), err)
		}
	}
	if len(expected) != 1 || expected[0] != got.Entries {
		t.Errorf("%d entries were expected, %d read", expected, got.Entries)
	}
	// What was unfinished can be opened now.
	if len(got.Finished) > 0 {
		o, err := clinic.Inbox().OpenByID(ctx, got.Finished[0].String(), "now it opens")
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := o.Read(ctx, 0, &out, nil); err != nil {
			t.Fatal(err)
		}
	}
	// And life goes on.
	grant(t, back, "Dr 00", tn.now)
	if again := tn.again("new laptop"); len(must(again.Records().List(ctx))(t)) != records-1 {
		t.Error("the restored wallet does not open again")
	}
	if _, _, err := tn.restore("new laptop", seed); !isExists(err) {
		t.Errorf("restored over a wallet: %v", err)
	}
}

func isExists(err error) bool {
	return errors.Is(err, wallet.ErrExists) || errors.Is(err, wallet.ErrWalletExists)
}

// clinicCanOpen opens one consent and reads it.
func clinicCanOpen(w *wallet.Wallet, r wallet.Received) bool {
	_, err := w.Inbox().OpenByID(context.Background(), r.Consent.String(), "check-up")
	return err == nil
}

// keep enters the book, twice, which must not make a second version.
func keep(t *testing.T, w *wallet.Wallet) {
	t.Helper()
	if kept := must(w.Book().Keep(context.Background()))(t); !kept {
		t.Fatal("nothing was kept")
	}
	if kept := must(w.Book().Keep(context.Background()))(t); kept {
		t.Fatal("kept what is kept already")
	}
}

func must2[A, B any](a A, b B, err error) func(testing.TB) (A, B) {
	return func(t testing.TB) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

// Words that own nothing on this ledger make no wallet.
func TestRestoreNothing(t *testing.T) {
	tn := newTown(t)
	add(t, tn.person("Maria"), "a.txt", "a")
	_, _, err := tn.restore("nobody", crypto.NewEntropy())
	if nothing, _ := fault.As(err, wallet.ErrNothing); fault.Get[uint64](nothing, "entries") != 2 {
		t.Fatalf("%v", err)
	}
	entries, err := os.ReadDir(filepath.Join(tn.dir, "home of nobody"))
	if err != nil || len(entries) > 1 { // the lock
		t.Errorf("left behind: %v %v", entries, err)
	}
	if len(tn.keys.items) != 1 {
		t.Errorf("%d keys in the keyring", len(tn.keys.items))
	}
}

// A restore that was interrupted goes on, and one that cannot say whose wallet it is
// keeps what it has read.
func TestRestoreInterrupted(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	seed := crypto.NewEntropy()
	old := tn.device("old", seed)
	addMany(t, old, 0, 6)
	request := wallet.RestoreRequest{Entropy: seed, At: tn.ledgerDir()}
	for _, step := range []wallet.RestoreStep{wallet.ReadingLedger, wallet.ReadingRecords} {
		stopping, cancel := context.WithCancel(ctx)
		request.Progress = func(s wallet.RestoreStep, done, _ uint64) {
			if s == step && done > 0 {
				cancel()
			}
		}
		if _, _, err := wallet.Restore(stopping, tn.options("new"), request); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", step, err)
		}
		cancel()
		if _, err := wallet.ReadSettings(filepath.Join(tn.dir, "home of new")); err == nil {
			t.Fatal("half a wallet")
		}
		if mark, s := wallet.Unfinished(filepath.Join(tn.dir, "home of new")); mark != wallet.BeingRestored || s.Keyring != "os" {
			t.Error("nobody knows of the restore")
		}
	}
	request.Progress = nil
	request.Expect = func(n uint64, _ time.Duration) { t.Errorf("%d entries are read again", n) }
	_, _, err := wallet.Restore(ctx, tn.options("new"), request)
	request.Expect = nil
	if input, _ := fault.As(err, wallet.ErrInput); input.Value("field") != "name" {
		t.Fatalf("without a name: %v", err)
	}
	if len(tn.keys.items) != 1 {
		t.Errorf("%d keys in the keyring before the end", len(tn.keys.items))
	}
	// Other words do not take up what was read with these.
	if _, _, err := wallet.Restore(ctx, tn.options("new"), wallet.RestoreRequest{Entropy: crypto.NewEntropy(), At: tn.ledgerDir()}); err == nil {
		t.Fatal("other words restored something")
	}
	request.Name = "Maria"
	// Killed when the key was just stored: the next one stores no second one.
	opt := tn.options("new")
	opt.Keyring = &forgetful{tn.keys}
	if _, _, err := wallet.Restore(ctx, opt, request); !errors.Is(err, errForgetful) {
		t.Fatal(err)
	}
	w, got, err := wallet.Restore(ctx, tn.options("new"), request)
	if len(tn.keys.items) != 2 {
		t.Errorf("%d keys in the keyring", len(tn.keys.items))
	}
	if err != nil || got.Records != 6 || w.Name() != "Maria" {
		t.Fatalf("%+v %v", got, err)
	}
}

// forgetful stores a key and then fails.
type forgetful struct{ *memoryKeyring }

var errForgetful = errors.New("killed")

func (k *forgetful) Set(ctx context.Context, id, secret string) error {
	return errors.Join(errForgetful, k.memoryKeyring.Set(ctx, id, secret))
}

// What the store lost is named, and a consent that nobody can ever open is ended.
func TestRestoreNamesWhatIsLost(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	seed := crypto.NewEntropy()
	old := tn.device("old", seed)
	clinic := tn.person("Dr Smith")
	must2(old.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()))(t)
	keep(t, old)
	addMany(t, old, 0, 3)
	var noDeposit = true
	f, err := folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	opt := tn.options("old")
	opt.Services = f.Services()
	opt.Services.Keepers = []ledgerclient.Keeper{refusingKeeper{opt.Services.Keepers[0], &noDeposit}}
	old = must(wallet.Open(ctx, opt))(t)
	recs := must(old.Records().List(ctx))(t)
	p := must(old.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", tn.now))(t)}))(t)
	if _, _, err := old.Grants().Give(ctx, p); err == nil {
		t.Fatal("not killed")
	}
	grantID := must(tn.newest())(t)
	for id, part := range map[contract.ID]ledgerclient.Part{recs[0].ID: ledgerclient.PartMetadata, grantID: ledgerclient.PartEnvelope} {
		if err := must(foldertest.Payload(tn.ledgerDir(), id.String(), part))(t).Lose(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(foldertest.Content(tn.ledgerDir(), recs[1].ID.String())); err != nil {
		t.Fatal(err)
	}
	back, got, err := tn.restore("new", seed)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Revoked) != 1 || got.Revoked[0] != grantID || len(got.Finished) != 0 || got.Open != 0 {
		t.Errorf("restored %+v", got)
	}
	if len(got.Lost) != 2 || got.Lost[0].What != "metadata" || got.Lost[0].ID != recs[0].ID || got.Lost[1].What != "content" || got.Lost[1].Title != "r001" {
		t.Errorf("lost %+v", got.Lost)
	}
	if c := must(back.Consents().List(ctx))(t); len(c) != 1 || c[0].Status != wallet.StatusRevoked || c[0].To != "Dr Smith" {
		t.Errorf("consents %+v", c)
	}
}

// newest returns the id of the newest entry.
func (tn *town) newest() (contract.ID, error) {
	f, err := folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock})
	if err != nil {
		return contract.ID{}, err
	}
	defer f.Close()
	c, err := ledgerclient.Connect(context.Background(), f.Services(), crypto.LedgerID{})
	if err != nil {
		return contract.ID{}, err
	}
	head, err := c.Head(context.Background())
	if err != nil {
		return contract.ID{}, err
	}
	leaves, err := f.Leaves(context.Background(), head.Size-1, head.Size)
	if err != nil {
		return contract.ID{}, err
	}
	return leaves[0].Entry.ID(c.ID()), nil
}
