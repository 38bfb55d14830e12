package wallet_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

// mishap makes the n-th call of any service fail.
type mishap struct {
	n     int64 // from 1
	after bool  // fail after the call took effect
	err   error
	calls atomic.Int64
	hit   atomic.Value // string: the call that failed
}

// call counts one call. If it is the one to fail, f is called only when the
// failure comes after the effect.
func (x *mishap) call(name string, f func() error) error {
	if x.calls.Add(1) != x.n {
		return f()
	}
	x.hit.Store(name)
	if x.after {
		f()
	}
	return x.err
}

// faultyServices passes everything through a mishap.
func faultyServices(s ledgerclient.Services, x *mishap) ledgerclient.Services {
	out := ledgerclient.Services{Ledger: faultyLedger{s.Ledger, x}, Store: faultyStore{s.Store, x}}
	for _, k := range s.Keepers {
		out.Keepers = append(out.Keepers, faultyKeeper{k, x})
	}
	return out
}

type faultyLedger struct {
	ledgerclient.Ledger
	x *mishap
}

func (l faultyLedger) Genesis(ctx context.Context) (b []byte, err error) {
	err = l.x.call("Genesis", func() error { b, err = l.Ledger.Genesis(ctx); return err })
	return b, err
}
func (l faultyLedger) Append(ctx context.Context, es []contract.Entry) (out []ledgerclient.Outcome, err error) {
	err = l.x.call("Append", func() error { out, err = l.Ledger.Append(ctx, es); return err })
	return out, err
}
func (l faultyLedger) Checkpoint(ctx context.Context) (b []byte, err error) {
	err = l.x.call("Checkpoint", func() error { b, err = l.Ledger.Checkpoint(ctx); return err })
	return b, err
}
func (l faultyLedger) Leaves(ctx context.Context, from, to uint64) (out []contract.Leaf, err error) {
	err = l.x.call("Leaves", func() error { out, err = l.Ledger.Leaves(ctx, from, to); return err })
	return out, err
}
func (l faultyLedger) Find(ctx context.Context, id contract.ID) (at uint64, ok bool, err error) {
	err = l.x.call("Find", func() error { at, ok, err = l.Ledger.(ledgerclient.Prover).Find(ctx, id); return err })
	return at, ok, err
}
func (l faultyLedger) ProveConsistency(ctx context.Context, old, new uint64) (out []crypto.Hash, err error) {
	err = l.x.call("ProveConsistency", func() error { out, err = l.Ledger.ProveConsistency(ctx, old, new); return err })
	return out, err
}
func (l faultyLedger) ProveThread(ctx context.Context, index, size uint64) (p ledgerclient.ThreadProof, err error) {
	err = l.x.call("ProveThread", func() error { p, err = l.Ledger.(ledgerclient.Prover).ProveThread(ctx, index, size); return err })
	return p, err
}

type faultyStore struct {
	ledgerclient.Store
	x *mishap
}

func (s faultyStore) PutBlobs(ctx context.Context, puts []ledgerclient.Put) error {
	return s.x.call("PutBlobs", func() error { return s.Store.PutBlobs(ctx, puts) })
}
func (s faultyStore) Upload(ctx context.Context) (u ledgerclient.Upload, err error) {
	err = s.x.call("Upload", func() error { u, err = s.Store.Upload(ctx); return err })
	return faultyUpload{u, s.x}, err
}
func (s faultyStore) Blob(ctx context.Context, loc crypto.Locator) (b ledgerclient.Blob, err error) {
	err = s.x.call("Blob", func() error { b, err = s.Store.Blob(ctx, loc); return err })
	return faultyBlob{b, s.x}, err
}
func (s faultyStore) Erase(ctx context.Context, e contract.Entry) error {
	return s.x.call("Erase", func() error { return s.Store.Erase(ctx, e) })
}

type faultyUpload struct {
	ledgerclient.Upload
	x *mishap
}

func (u faultyUpload) Write(p []byte) (n int, err error) {
	err = u.x.call("Upload.Write", func() error { n, err = u.Upload.Write(p); return err })
	return n, err
}
func (u faultyUpload) Sum() (size int64, head crypto.Hash, err error) {
	err = u.x.call("Upload.Sum", func() error { size, head, err = u.Upload.Sum(); return err })
	return size, head, err
}
func (u faultyUpload) Commit(p ledgerclient.Put) error {
	return u.x.call("Upload.Commit", func() error { return u.Upload.Commit(p) })
}

type faultyBlob struct {
	ledgerclient.Blob
	x *mishap
}

func (b faultyBlob) ReadAt(p []byte, off int64) (n int, err error) {
	err = b.x.call("Blob.ReadAt", func() error { n, err = b.Blob.ReadAt(p, off); return err })
	return n, err
}

type faultyKeeper struct {
	ledgerclient.Keeper
	x *mishap
}

func (k faultyKeeper) Deposit(ctx context.Context, ds []ledgerclient.Deposit) (rs []ledgerclient.Receipt, err error) {
	err = k.x.call("Deposit", func() error { rs, err = k.Keeper.Deposit(ctx, ds); return err })
	return rs, err
}
func (k faultyKeeper) State(ctx context.Context, q ledgerclient.Inquiry) (s ledgerclient.KeeperState, err error) {
	err = k.x.call("State", func() error { s, err = k.Keeper.State(ctx, q); return err })
	return s, err
}
func (k faultyKeeper) Release(ctx context.Context, r ledgerclient.Request) (a ledgerclient.Answer, err error) {
	err = k.x.call("Release", func() error { a, err = k.Keeper.Release(ctx, r); return err })
	return a, err
}
func (k faultyKeeper) Revoke(ctx context.Context, es []contract.Entry) (as []ledgerclient.Acknowledgement, err error) {
	err = k.x.call("Revoke", func() error { as, err = k.Keeper.Revoke(ctx, es); return err })
	return as, err
}
func (k faultyKeeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (a ledgerclient.InquiryAnswer, err error) {
	err = k.x.call("Inquire", func() error { a, err = k.Keeper.Inquire(ctx, q); return err })
	return a, err
}

// Promise 8: each call of a service that fails, or of which the answer is lost,
// leaves a change whole or absent, and the next run finishes what was begun.
func TestEveryCallFailsOnce(t *testing.T) {
	lane.OneGoroutine(t)
	var mu sync.Mutex
	counts := map[string]map[string]int{}
	t.Run("steps", func(t *testing.T) {
		for _, step := range append([]string{"remove", "split"}, steps...) {
			counts[step] = map[string]int{}
			for _, after := range []bool{false, true} {
				for _, unknown := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s after=%t unknown=%t", step, after, unknown), func(t *testing.T) {
						t.Parallel()
						broken := errors.New("it broke")
						if unknown {
							broken = &ledgerclient.UnreachableError{Service: "all", Err: broken}
						}
						first := 1 // where not each call is failed, each way begins with another one
						if stride := lane.Pick(1, 7, 7); stride > 1 {
							if after {
								first += 2
							}
							if unknown {
								first += 4
							}
						}
						c := failEveryCall(t, step, first, lane.Pick(1, 7, 7), after, broken, func(opt wallet.Options, x *mishap) wallet.Options {
							opt.Services = faultyServices(opt.Services, x)
							return opt
						})
						mu.Lock()
						defer mu.Unlock()
						for k, n := range c {
							counts[step][k] += n
						}
					})
				}
			}
		}
	})
	for _, step := range append([]string{"remove", "split"}, steps...) {
		t.Logf("%-7s %s", step+":", countsOf(counts[step]))
	}
}

// failEveryCall does a step again and again, each time with another call that fails, from the
// first on by that stride: through says what is called.
func failEveryCall(t *testing.T, step string, first, stride int, after bool, broken error, through func(wallet.Options, *mishap) wallet.Options) map[string]int {
	ctx := context.Background()
	counts := map[string]int{}
	var d district
	for n := first; ; n += stride {
		if n == first || n%20 == 0 {
			d = newDistrict(t, t.TempDir())
			prefill(t, d)
		}
		// What the step needs.
		switch step {
		case "fetch", "revoke":
			calmly(t, d, "grant", 100*n)
		case "remove":
			calmly(t, d, "add", 100*n)
		}
		x := &mishap{n: int64(n), after: after, err: broken}
		key, err := func() (key string, err error) {
			f, err := d.folder()
			if err != nil {
				return "", err
			}
			defer f.Close()
			patient, err := wallet.Open(ctx, through(d.options(patientHome, f.Services()), x))
			if err != nil {
				return "", err
			}
			clinic, err := wallet.Open(ctx, through(d.options(clinicHome, f.Services()), x))
			if err != nil {
				return "", err
			}
			key, do, err := prepareAny(patient, clinic, step, 100*n+1)
			if do == nil { // also without an error, where what failed hid what there is to do
				return "", cmp.Or(err, errors.New("nothing to do"))
			}
			return key, do()
		}()
		hit, _ := x.hit.Load().(string)
		if hit == "" {
			if err != nil {
				t.Fatalf("no call failed, yet %v", err)
			}
			return counts
		}
		name := fmt.Sprintf("call %d, %s", n, hit)
		if hit == keyUse && !errors.Is(err, crypto.ErrKeyLocked) {
			t.Errorf("%s: the key was locked, and what is said is %v", name, err)
		}
		begun := len(d.journal(t)) > 0
		a := inspect(t, d, false)
		for _, f := range a.finished {
			if f.Err != nil {
				t.Errorf("%s: finishing %s: %v", name, f.Action, f.Err)
			}
		}
		holds := key != "" && holdsAny(a, deed{step: step, key: key})
		switch {
		case err == nil && !holds:
			t.Errorf("%s: reported as done and is absent", name)
		case err == nil:
			counts["done all the same"]++
		case begun && !holds:
			t.Errorf("%s: was in the journal and is absent", name)
		case begun:
			counts["finished on the next run"]++
		case holds:
			counts["failed and whole"]++
		default:
			counts["absent"]++
			if key != "" {
				// Trying again must work.
				f, err := d.folder()
				if err != nil {
					t.Fatal(err)
				}
				patient, err := wallet.Open(ctx, d.options(patientHome, f.Services()))
				if err != nil {
					t.Fatal(err)
				}
				clinic, err := wallet.Open(ctx, d.options(clinicHome, f.Services()))
				if err != nil {
					t.Fatal(err)
				}
				key, do, err := prepareAny(patient, clinic, step, 100*n+1)
				if err == nil {
					err = do()
				}
				f.Close()
				if a := inspect(t, d, false); err != nil || !holdsAny(a, deed{step: step, key: key}) {
					t.Errorf("%s: the second try: %v", name, err)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// keyUse is the call of a key that another process holds.
const keyUse = "a use of the key"

// held opens a wallet with a key that another process holds.
func held(t testing.TB, opt wallet.Options, x *mishap) wallet.Options {
	t.Helper()
	root, err := wallet.Root(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := root.HandTo(&b); err != nil {
		t.Fatal(err)
	}
	var memory [crypto.HeldMemory]byte
	copy(memory[:], b.Bytes())
	keys := crypto.HoldKeys(&memory)
	ask := func(request []byte) (answer []byte, err error) {
		err = x.call(keyUse, func() error {
			answer, _ = keys.Answer(nil, request)
			return nil
		})
		return answer, err
	}
	opt.Keyring = keyring.Unlocked{Store: opt.Keyring, Keys: func(l crypto.LedgerID) (*crypto.Keys, error) { return crypto.AskKeys(l, ask) }}
	return opt
}

// A key that is locked in the middle of a command: whichever use it was that was not
// performed, that is what is said; nothing is lost, doubled, half-done or taken for
// damaged, and the next run finishes what was begun.
func TestLockedAtEveryUse(t *testing.T) {
	for _, step := range append([]string{"remove", "split"}, steps...) {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			c := failEveryCall(t, step, 1, lane.Pick(1, 2, 7), false, errors.New("its time is over"), func(opt wallet.Options, x *mishap) wallet.Options { return held(t, opt, x) })
			t.Log(countsOf(c))
		})
	}
}

// A key that is locked in the middle of what only looks: that is what is said, and nothing is
// taken for less than it is, whether the wallet knows of it or reads all of it anew.
func TestLockedAtEveryLook(t *testing.T) {
	ctx := context.Background()
	d := newDistrict(t, t.TempDir())
	prefill(t, d)
	for n, step := range []string{"fetch", "revoke"} {
		calmly(t, d, step, n)
	}
	looks := map[string]struct {
		home string
		look func(w *wallet.Wallet) (any, error)
	}{
		"inbox":    {clinicHome, func(w *wallet.Wallet) (any, error) { return w.Inbox().List(ctx) }},
		"received": {clinicHome, func(w *wallet.Wallet) (any, error) { return w.Audit().Peek(ctx) }},
		"status":   {patientHome, func(w *wallet.Wallet) (any, error) { return w.Audit().Peek(ctx) }},
		"audit":    {patientHome, func(w *wallet.Wallet) (any, error) { return w.Audit().Events(ctx) }},
		"consents": {patientHome, func(w *wallet.Wallet) (any, error) { return w.Consents().List(ctx) }},
		"proven":   {patientHome, func(w *wallet.Wallet) (any, error) { return w.Consents().Proven(ctx, "") }},
		"records":  {patientHome, func(w *wallet.Wallet) (any, error) { return w.Records().List(ctx) }},
		"export": {patientHome, func(w *wallet.Wallet) (any, error) {
			e, err := w.Records().Export(ctx, filepath.Join(t.TempDir(), "out"), true, nil)
			return e, err
		}},
		"content": {patientHome, func(w *wallet.Wallet) (any, error) {
			var b bytes.Buffer
			rs, err := w.Records().List(ctx)
			if err == nil {
				_, err = w.Records().Open(ctx, rs[0].ID.String(), &b, false, nil)
			}
			return b.String(), err
		}},
		"choose": {patientHome, func(w *wallet.Wallet) (any, error) {
			return w.Consents().Select(ctx, wallet.RevokeRequest{All: true})
		}},
		"card": {patientHome, func(w *wallet.Wallet) (any, error) { return w.Card("") }},
	}
	for name, l := range looks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(fresh bool, x *mishap) (string, error) {
				f, err := d.folder()
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				opt := d.options(l.home, f.Services())
				if opt.Dir = filepath.Join(t.TempDir(), "home"); os.CopyFS(opt.Dir, os.DirFS(d.home(l.home))) != nil {
					t.Fatal("not copied")
				}
				opt.Keyring = &keyring.File{Path: filepath.Join(opt.Dir, keyring.FileName), Passphrase: d.keys(l.home).Passphrase, WorkFactor: 1}
				if fresh {
					for _, cache := range must(filepath.Glob(filepath.Join(opt.Dir, "ledgers", "*", "cache")))(t) {
						os.Remove(cache)
					}
				}
				w, err := wallet.Open(ctx, held(t, opt, x))
				if err != nil {
					return "", err
				}
				is, err := l.look(w)
				if err != nil {
					return "", err
				}
				b, err := json.Marshal(is)
				return string(b), err
			}
			for _, fresh := range []bool{false, true} {
				want, err := run(fresh, &mishap{})
				if err != nil {
					t.Fatal(err)
				}
				uses := 0
				for n := int64(1); ; n += lane.Pick[int64](1, 1, 5) { // one goroutine asks
					x := &mishap{n: n, err: errors.New("its time is over")}
					is, err := run(fresh, x)
					if x.hit.Load() == nil {
						if err != nil || is != want {
							t.Errorf("use %d, fresh %t: %v\n%s\n%s", n, fresh, err, is, want)
						}
						break
					}
					uses++
					if !errors.Is(err, crypto.ErrKeyLocked) {
						t.Errorf("use %d, fresh %t: the key was locked, and what is said is %v, %s", n, fresh, err, is)
					}
				}
				t.Logf("fresh %t: %d uses", fresh, uses)
			}
		})
	}
}

// calmly does a step with healthy services.
func calmly(t testing.TB, d district, step string, n int) {
	t.Helper()
	patient, clinic, f, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, do, err := prepare(patient, clinic, step, n)
	if err == nil {
		err = do()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// prepareAny is prepare, and knows to remove the newest record and to add one that is split.
func prepareAny(patient, clinic *wallet.Wallet, step string, n int) (key string, do func() error, err error) {
	if step == "split" {
		title := fmt.Sprint("bundle ", n)
		return title, func() error {
			_, _, err := patient.Records().Add(context.Background(), source(title, 1), wallet.Describe{Title: title}, nil)
			return err
		}, nil
	}
	if step != "remove" {
		return prepare(patient, clinic, step, n)
	}
	recs, err := patient.Records().List(context.Background())
	if err != nil {
		return "", nil, err
	}
	r := recs[len(recs)-1]
	return r.Title, func() error {
		_, _, err := patient.Records().Remove(context.Background(), r.ID.String())
		return err
	}, nil
}

func holdsAny(a aftermath, d deed) bool {
	switch d.step {
	case "remove":
		return a.records[d.key] == 0
	case "split":
		return a.records[d.key] == 1
	}
	return a.holds(d)
}

// A fresh process reads what it knows from its cache: with nothing new on the
// ledger it asks for the configuration and the newest head only.
func TestCacheSavesReading(t *testing.T) {
	ctx := context.Background()
	d := newDistrict(t, t.TempDir())
	prefill(t, d)
	inspect(t, d, true)
	f, err := d.folder()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, home := range []string{patientHome, clinicHome} {
		var x mishap
		w, err := wallet.Open(ctx, d.options(home, faultyServices(f.Services(), &x)))
		if err != nil {
			t.Fatal(err)
		}
		cs := must(w.Consents().List(ctx))(t)
		box := must(w.Inbox().List(ctx))(t)
		recs := must(w.Records().List(ctx))(t)
		if len(cs)+len(box) != 2 || len(recs) != 1 && home == patientHome {
			t.Errorf("%s: %d consents, %d received, %d records", home, len(cs), len(box), len(recs))
		}
		if n := x.calls.Load(); n != 4 {
			t.Errorf("%s: %d calls of services, want 4: Genesis and three times Checkpoint", home, n)
		}
	}
}
