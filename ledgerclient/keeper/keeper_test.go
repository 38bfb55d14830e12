package keeper

import (
	"errors"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Each code of an answer, and each way to get it. A scene begins with the share
// deposited and both clocks inside the window.
func TestReleaseCodes(t *testing.T) {
	ordered := func(s *scene) ledgerclient.Request {
		a := s.access()
		s.order(a)
		r, _ := s.request(a)
		return r
	}
	tests := []struct {
		name  string
		code  ledgerclient.Code
		filed bool // the patient sees it
		setup func(s *scene) ledgerclient.Request
	}{
		{"all is well", ledgerclient.Released, false, ordered},
		{"first hour of the window", ledgerclient.Released, false, func(s *scene) ledgerclient.Request {
			s.at(winStart, winStart)
			return ordered(s)
		}},
		{"last hour of the window", ledgerclient.Released, false, func(s *scene) ledgerclient.Request {
			s.at(winEnd-1, winEnd-1)
			return ordered(s)
		}},
		{"access of 23 hours ago", ledgerclient.Released, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.at(s.log.hour+23, s.own+23)
			return r
		}},
		{"keeper's clock a few hours behind", ledgerclient.Released, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.own -= 5
			return r
		}},

		{"no such grant", ledgerclient.UnknownGrant, false, func(s *scene) ledgerclient.Request {
			a := s.access()
			a.Subject[0] ^= 1
			r, _ := s.request(s.sign(a, s.partner))
			return r
		}},
		{"a record is no grant", ledgerclient.UnknownGrant, false, func(s *scene) ledgerclient.Request {
			rec := s.sign(contract.Entry{Kind: contract.KindRecord}, s.author)
			s.order(rec)
			a := s.access()
			a.Subject = rec.ID(s.log.id)
			r, _ := s.request(s.sign(a, s.partner))
			return r
		}},
		{"an access is no grant", ledgerclient.UnknownGrant, false, func(s *scene) ledgerclient.Request {
			first := s.access()
			s.order(first)
			a := s.access()
			a.Subject = first.ID(s.log.id)
			r, _ := s.request(s.sign(a, s.partner))
			return r
		}},

		{"nothing deposited", ledgerclient.NoShare, true, func(s *scene) ledgerclient.Request {
			clear(s.vault.shares)
			return ordered(s)
		}},

		{"before the window", ledgerclient.NotYet, true, func(s *scene) ledgerclient.Request {
			s.at(winStart-1, winStart-1)
			a := s.access()
			if rule := s.log.append(a); rule != contract.RuleNotYet {
				s.t.Errorf("ledger: %q", rule)
			}
			r, _ := s.request(a)
			return r
		}},
		{"keeper's clock before the window", ledgerclient.NotYet, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.own = winStart - 1
			return r
		}},

		{"after the window", ledgerclient.Expired, true, func(s *scene) ledgerclient.Request {
			s.at(winEnd, winEnd)
			a := s.access()
			if rule := s.log.append(a); rule != contract.RuleExpired {
				s.t.Errorf("ledger: %q", rule)
			}
			r, _ := s.request(a)
			return r
		}},
		{"access inside the window, request after it", ledgerclient.Expired, true, func(s *scene) ledgerclient.Request {
			s.at(winEnd-1, winEnd-1)
			r := ordered(s)
			s.at(winEnd, winEnd)
			return r
		}},
		{"ledger time stands still, keeper's clock past the window", ledgerclient.Expired, true, func(s *scene) ledgerclient.Request {
			s.at(winEnd-1, winEnd-1)
			r := ordered(s)
			s.own = winEnd
			return r
		}},
		{"keeper's clock stands still, ledger past the window", ledgerclient.Expired, true, func(s *scene) ledgerclient.Request {
			s.at(winEnd-1, winEnd-1)
			r := ordered(s)
			s.log.hour = winEnd
			return r
		}},

		{"access after the revocation", ledgerclient.Revoked, true, func(s *scene) ledgerclient.Request {
			s.order(s.revocation())
			a := s.access()
			if rule := s.log.append(a); rule != contract.RuleRevoked {
				s.t.Errorf("ledger: %q", rule)
			}
			r, _ := s.request(a)
			return r
		}},
		{"access before the revocation, request after it", ledgerclient.Revoked, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.order(s.revocation())
			return r
		}},
		{"stopped before the revocation is ordered", ledgerclient.Revoked, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.revoke(s.revocation())
			return r
		}},
		{"revoked, destroyed and long over: the revocation is told", ledgerclient.Revoked, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			e := s.revocation()
			s.order(e)
			s.revoke(e)
			s.at(winEnd+1000, winEnd+1000)
			return r
		}},

		{"access not on the ledger", ledgerclient.NoAccess, true, func(s *scene) ledgerclient.Request {
			r, _ := s.request(s.access())
			return r
		}},
		{"second access in one hour", ledgerclient.NoAccess, true, func(s *scene) ledgerclient.Request {
			s.order(s.access())
			a := s.access()
			if rule := s.log.append(a); rule != contract.RuleOncePerHour {
				s.t.Errorf("ledger: %q", rule)
			}
			r, _ := s.request(a)
			return r
		}},

		{"access of 24 hours ago", ledgerclient.AccessTooOld, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.at(s.log.hour+24, s.own+24)
			return r
		}},
		{"access of 25 hours ago", ledgerclient.AccessTooOld, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.at(s.log.hour+25, s.own+25)
			return r
		}},
		{"access of 25 hours ago on a ledger that stands still", ledgerclient.AccessTooOld, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.own += 25
			return r
		}},

		{"request signed by another key", ledgerclient.WrongKey, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			r.Sign(crypto.GenerateKey())
			return r
		}},
		{"request signed by the grant's author", ledgerclient.WrongKey, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			r.Sign(s.author)
			return r
		}},
		{"somebody else's access and request", ledgerclient.WrongKey, false, func(s *scene) ledgerclient.Request {
			mallory := crypto.GenerateKey()
			r, _ := s.request(s.sign(s.access(), mallory))
			r.Sign(mallory)
			return r
		}},
		{"response key replaced in a request that was overheard", ledgerclient.WrongKey, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			r.Response = crypto.GenerateKey().Public()
			return r
		}},
		{"access with a bad signature", ledgerclient.WrongKey, true, func(s *scene) ledgerclient.Request {
			a := s.access()
			a.Signature[9] ^= 1
			r, _ := s.request(a)
			return r
		}},
		{"access signed for another ledger", ledgerclient.WrongKey, true, func(s *scene) ledgerclient.Request {
			a := s.access()
			if err := a.Sign(crypto.LedgerID{1}, s.partner); err != nil {
				s.t.Fatal(err)
			}
			r, _ := s.request(a)
			return r
		}},

		{"destroyed, on a replica that went back", ledgerclient.Destroyed, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			before := *s.log
			s.at(winEnd+GraceHours, start)
			if n, err := s.keeper.Sweep(ctx); n != 1 || err != nil {
				s.t.Fatalf("swept %d, %v", n, err)
			}
			s.log.hour, s.own = before.hour, before.hour
			return r
		}},

		{"head not fresh", ledgerclient.StaleHead, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.log.fresh = false
			return r
		}},
		{"head not fresh, but revoked for ever", ledgerclient.Revoked, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.order(s.revocation())
			s.log.fresh = false
			return r
		}},

		{"for another ledger", ledgerclient.BadRequest, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			r.Ledger[0] ^= 1
			r.Sign(s.partner)
			return r
		}},
		{"for another keeper", ledgerclient.BadRequest, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			r.Keeper = crypto.GenerateKey().Public()
			r.Sign(s.partner)
			return r
		}},
		{"a grant instead of an access", ledgerclient.BadRequest, false, func(s *scene) ledgerclient.Request {
			r, _ := s.request(s.grant)
			return r
		}},
		{"an access of a strange shape", ledgerclient.BadRequest, false, func(s *scene) ledgerclient.Request {
			a := s.access()
			a.Flags = 1
			r, _ := s.request(s.sign(a, s.partner))
			return r
		}},
		{"no key to seal to", ledgerclient.BadRequest, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			r.Response = crypto.PubKey{2, 1: 0xff, 2: 0xff, 3: 0xff, 4: 0xff, 5: 0xff}
			for i := range r.Response[1:] {
				r.Response[1+i] = 0xff
			}
			r.Sign(s.partner)
			return r
		}},
	}
	covered := map[ledgerclient.Code]bool{}
	for _, test := range tests {
		covered[test.code] = true
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			s.deposited()
			s.at(winStart+5, winStart+5)
			r := test.setup(s)
			a := s.ask(r)
			if a.Code != test.code {
				t.Errorf("code %s, want %s", a.Code, test.code)
			}
			if (len(a.Sealed) > 0) != (test.code == ledgerclient.Released) {
				t.Errorf("%d sealed bytes with code %s", len(a.Sealed), a.Code)
			}
			if h := s.log.Head(); a.Hour != h.Hour || a.Size != h.Size || a.Root != h.Root {
				t.Error("answer does not tell the head it was judged at")
			}
			filed := 0
			for _, rs := range s.vault.filed {
				for i := range rs {
					filed++
					if err := rs[i].Verify(s.log.id, s.keeper.Key()); err != nil {
						t.Errorf("filed: %v", err)
					}
				}
			}
			if (filed == 1) != test.filed || filed > 1 {
				t.Errorf("%d filed", filed)
			}
		})
	}
	for c := ledgerclient.Released; c <= ledgerclient.BadRequest; c++ {
		if !covered[c] {
			t.Errorf("no test for code %s", c)
		}
	}
}

func (s *scene) revoke(e contract.Entry) ledgerclient.Acknowledgement {
	s.t.Helper()
	acks, err := s.keeper.Revoke(ctx, []contract.Entry{e})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := acks[0].Verify(s.log.id, s.id, s.keeper.Key()); err != nil {
		s.t.Errorf("acknowledgement: %v", err)
	}
	return acks[0]
}

// The share goes to the response key of the request and to nobody else, bound to
// ledger, grant, keeper and access.
func TestReleaseSealsToTheResponseKey(t *testing.T) {
	s := newScene(t)
	s.deposited()
	s.at(winStart, winStart)
	access := s.access()
	s.order(access)
	r, response := s.request(access)
	a := s.ask(r)
	context := crypto.ShareContext{Ledger: s.log.id, Grant: s.id, Keeper: s.keeper.Key(), Access: access.ID(s.log.id)}
	got, err := crypto.OpenShare(context, response, a.Sealed)
	if err != nil || !got.Equal(s.shares[0]) {
		t.Fatalf("share: %v", err)
	}
	if _, err := crypto.OpenShare(context, crypto.GenerateKey(), a.Sealed); err == nil {
		t.Error("another key opens the share")
	}
	context.Access[0] ^= 1
	if _, err := crypto.OpenShare(context, response, a.Sealed); err == nil {
		t.Error("the share opens for another access")
	}
	// The same request again: whoever overheard it gets an answer that only the
	// first asker can open.
	if again := s.ask(r); again.Code != ledgerclient.Released || string(again.Sealed) == string(a.Sealed) {
		t.Error("a repeated request is answered afresh")
	}
}

// An access of one grant opens no other grant, also not one between the same two
// keys.
func TestReleaseAccessOfAnotherGrant(t *testing.T) {
	s := newScene(t)
	s.deposited()
	_, pkg, other := s.newGrant(s.author, s.partner)
	s.order(other)
	s.at(winStart, winStart)
	access := s.access()
	access.Subject = other.ID(s.log.id)
	access = s.sign(access, s.partner)
	s.order(access)
	r, _ := s.request(access)
	if a := s.ask(r); a.Code != ledgerclient.NoShare || a.Grant != other.ID(s.log.id) {
		t.Errorf("code %s for %s", a.Code, a.Grant)
	}
	_ = pkg
}

func TestDepositRefused(t *testing.T) {
	tests := []struct {
		name string
		code ledgerclient.Code
		make func(s *scene) ledgerclient.Deposit
	}{
		{"grant not on the ledger", ledgerclient.UnknownGrant, func(s *scene) ledgerclient.Deposit {
			return s.deposit(func(d *ledgerclient.Deposit) { d.Grant[0] ^= 1 })
		}},
		{"by a stranger", ledgerclient.WrongKey, func(s *scene) ledgerclient.Deposit {
			d := s.deposit(nil)
			d.Sign(crypto.GenerateKey())
			return d
		}},
		{"by the recipient", ledgerclient.WrongKey, func(s *scene) ledgerclient.Deposit {
			d := s.deposit(nil)
			d.Sign(s.partner)
			return d
		}},
		{"garbage package", ledgerclient.BadRequest, func(s *scene) ledgerclient.Deposit {
			return s.deposit(func(d *ledgerclient.Deposit) { d.Package = []byte("garbage") })
		}},
		{"package of another grant", ledgerclient.BadRequest, func(s *scene) ledgerclient.Deposit {
			shares, pkg, _ := s.newGrant(s.author, s.partner)
			return s.deposit(func(d *ledgerclient.Deposit) { d.Share, d.Package = shares[0], pkg.Marshal() })
		}},
		{"another keeper's share under one's own index", ledgerclient.BadRequest, func(s *scene) ledgerclient.Deposit {
			return s.deposit(func(d *ledgerclient.Deposit) {
				b := s.shares[1].Bytes()
				b[0] = 1
				d.Share, _ = crypto.ParseShare(b[:])
			})
		}},
		{"index past the list", ledgerclient.BadRequest, func(s *scene) ledgerclient.Deposit {
			return s.deposit(func(d *ledgerclient.Deposit) {
				b := s.shares[0].Bytes()
				b[0] = 4
				d.Share, _ = crypto.ParseShare(b[:])
			})
		}},
		{"no share", ledgerclient.BadRequest, func(s *scene) ledgerclient.Deposit {
			d := s.deposit(nil)
			d.Share = crypto.Share{}
			return d
		}},
		{"another ledger", ledgerclient.BadRequest, func(s *scene) ledgerclient.Deposit {
			return s.deposit(func(d *ledgerclient.Deposit) { d.Ledger[0] ^= 1 })
		}},
		{"another keeper", ledgerclient.BadRequest, func(s *scene) ledgerclient.Deposit {
			return s.deposit(func(d *ledgerclient.Deposit) { d.Keeper = crypto.GenerateKey().Public() })
		}},
		{"revoked on the ledger", ledgerclient.Revoked, func(s *scene) ledgerclient.Deposit {
			s.order(s.revocation())
			return s.deposit(nil)
		}},
		{"stopped before it came", ledgerclient.Revoked, func(s *scene) ledgerclient.Deposit {
			s.revoke(s.revocation())
			return s.deposit(nil)
		}},
		{"window is over", ledgerclient.Expired, func(s *scene) ledgerclient.Deposit {
			s.at(winEnd, start)
			return s.deposit(nil)
		}},
		{"destroyed, on a replica that went back", ledgerclient.Destroyed, func(s *scene) ledgerclient.Deposit {
			s.deposited()
			s.at(winEnd+GraceHours, start)
			if n, err := s.keeper.Sweep(ctx); n != 1 || err != nil {
				s.t.Fatalf("swept %d, %v", n, err)
			}
			s.at(start, start)
			return s.deposit(nil)
		}},
		{"a second share of one grant", ledgerclient.BadRequest, func(s *scene) ledgerclient.Deposit {
			s.deposited()
			return s.deposit(func(d *ledgerclient.Deposit) { d.Share = s.shares[2] })
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			d := test.make(s)
			before := len(s.vault.shares)
			receipts, err := s.keeper.Deposit(ctx, []ledgerclient.Deposit{d})
			var k *ledgerclient.KeeperError
			if !errors.As(err, &k) || k.Code != test.code || k.Grant != d.Grant {
				t.Errorf("%v, want code %s", err, test.code)
			}
			if len(receipts) != 1 || receipts[0] != (ledgerclient.Receipt{}) {
				t.Error("a receipt for what was refused")
			}
			if len(s.vault.shares) != before {
				t.Error("stored what was refused")
			}
		})
	}
}

func TestDeposit(t *testing.T) {
	s := newScene(t)
	if st, err := s.keeper.State(ctx, s.id); err != nil || st.Held || st.Ended != 0 {
		t.Errorf("before: %+v, %v", st, err)
	}
	stranger := s.deposit(nil)
	stranger.Sign(crypto.GenerateKey())
	good := s.deposit(nil)
	receipts, err := s.keeper.Deposit(ctx, []ledgerclient.Deposit{stranger, good, good})
	var b *ledgerclient.BatchError
	if !errors.As(err, &b) || b.Errs[0] == nil || b.Errs[1] != nil || b.Errs[2] != nil {
		t.Fatalf("batch: %v", err)
	}
	for _, r := range receipts[1:] {
		if err := r.Verify(&good, s.author.Public()); err != nil {
			t.Error(err)
		}
	}
	again, err := s.keeper.Deposit(ctx, []ledgerclient.Deposit{good})
	if err != nil || again[0].Verify(&good, s.author.Public()) != nil {
		t.Errorf("the same again: %v", err)
	}
	if st, err := s.keeper.State(ctx, s.id); err != nil || !st.Held || st.Ended != 0 {
		t.Errorf("after: %+v, %v", st, err)
	}
	if none, err := s.keeper.Deposit(ctx, nil); err != nil || len(none) != 0 {
		t.Errorf("nothing: %v", err)
	}
}

// A share that is not what was deposited is never released.
func TestReleaseOfADamagedShare(t *testing.T) {
	s := newScene(t)
	s.deposited()
	s.at(winStart, winStart)
	for g, d := range s.vault.shares {
		b := d.Share.Bytes()
		b[7] ^= 1
		d.Share, _ = crypto.ParseShare(b[:])
		s.vault.shares[g] = d
	}
	a := s.access()
	s.order(a)
	r, _ := s.request(a)
	_, err := s.keeper.Release(ctx, r)
	var damaged *ledgerclient.TamperedError
	if !errors.As(err, &damaged) {
		t.Errorf("%v", err)
	}
}

func TestRevoke(t *testing.T) {
	s := newScene(t)
	s.deposited()
	e := s.revocation()
	first := s.revoke(e)
	if first.End != ledgerclient.Stopped || len(s.vault.shares) != 1 {
		t.Fatalf("%s before it is ordered, %d shares", first.End, len(s.vault.shares))
	}
	if st, _ := s.keeper.State(ctx, s.id); st.Ended != ledgerclient.Stopped {
		t.Errorf("state %+v", st)
	}
	s.at(start+3, start)
	if again := s.revoke(e); again != first {
		t.Error("the same again yields another acknowledgement")
	}
	s.order(e)
	s.vault.trace = nil
	last := s.revoke(e)
	if last.End != ledgerclient.DestroyedShare || last.Hour != start+3 || len(s.vault.shares) != 0 {
		t.Errorf("%s at %d, %d shares", last.End, last.Hour, len(s.vault.shares))
	}
	if want := []string{"stop", "destroy", "acknowledge"}; len(s.vault.trace) != 3 || s.vault.trace[0] != want[0] || s.vault.trace[1] != want[1] || s.vault.trace[2] != want[2] {
		t.Errorf("done in the order %v", s.vault.trace)
	}
	if again := s.revoke(e); again != last {
		t.Error("the same again yields another acknowledgement")
	}
	if st, _ := s.keeper.State(ctx, s.id); st.Held || st.Ended != ledgerclient.DestroyedShare {
		t.Errorf("state %+v", st)
	}
	refused, acks, err := s.keeper.Inquire(ctx, s.inquiry(s.author))
	if err != nil || len(refused) != 0 || len(acks) != 2 || acks[0] != first || acks[1] != last {
		t.Errorf("inquiry: %d, %d, %v", len(refused), len(acks), err)
	}
}

// If the mark cannot be made durable nothing is acknowledged.
func TestRevokeWithoutDisk(t *testing.T) {
	s := newScene(t)
	s.deposited()
	s.vault.fail = errors.New("disk full")
	if _, err := s.keeper.Revoke(ctx, []contract.Entry{s.revocation()}); err == nil {
		t.Error("acknowledged")
	}
	if len(s.vault.acked) != 0 {
		t.Error("filed an acknowledgement")
	}
}

func TestRevokeRefused(t *testing.T) {
	s := newScene(t)
	s.deposited()
	unknown := s.revocation()
	unknown.Subject[0] ^= 1
	bad := s.revocation()
	bad.Signature[3] ^= 1
	elsewhere := s.revocation()
	if err := elsewhere.Sign(crypto.LedgerID{9}, s.author); err != nil {
		t.Fatal(err)
	}
	good := s.revocation()
	entries := []contract.Entry{
		s.sign(unknown, s.author), bad, elsewhere, s.sign(s.revocation(), s.partner), s.sign(s.revocation(), crypto.GenerateKey()),
		s.access(), s.grant, good,
	}
	codes := []ledgerclient.Code{
		ledgerclient.UnknownGrant, ledgerclient.WrongKey, ledgerclient.WrongKey, ledgerclient.WrongKey, ledgerclient.WrongKey,
		ledgerclient.BadRequest, ledgerclient.BadRequest, ledgerclient.Released,
	}
	if _, err := s.keeper.Revoke(ctx, entries[:len(entries)-1]); err == nil || len(s.vault.stops) != 0 {
		t.Fatalf("%d stopped, %v", len(s.vault.stops), err)
	}
	acks, err := s.keeper.Revoke(ctx, entries)
	var b *ledgerclient.BatchError
	if !errors.As(err, &b) {
		t.Fatal(err)
	}
	for i, code := range codes {
		var k *ledgerclient.KeeperError
		switch {
		case code == ledgerclient.Released:
			if b.Errs[i] != nil || acks[i].Verify(s.log.id, s.id, s.keeper.Key()) != nil {
				t.Errorf("entry %d: %v", i, b.Errs[i])
			}
		case !errors.As(b.Errs[i], &k) || k.Code != code || acks[i] != (ledgerclient.Acknowledgement{}):
			t.Errorf("entry %d: %v, want code %s", i, b.Errs[i], code)
		}
	}
}

// A grant whose share never came can be revoked too: none is taken afterwards.
func TestRevokeWithoutShare(t *testing.T) {
	s := newScene(t)
	e := s.revocation()
	s.order(e)
	if a := s.revoke(e); a.End != ledgerclient.DestroyedShare {
		t.Errorf("%s", a.End)
	}
	if _, err := s.keeper.Deposit(ctx, []ledgerclient.Deposit{s.deposit(nil)}); err == nil {
		t.Error("a share was taken after the end was acknowledged")
	}
}

func TestSweep(t *testing.T) {
	for _, test := range []struct {
		name        string
		ledger, own contract.Hour
		revoke      bool
		want        int
	}{
		{"inside the window", winEnd - 1, winEnd - 1, false, 0},
		{"23 hours after it", winEnd + 23, winEnd + 23, false, 0},
		{"24 hours after it", winEnd + 24, winEnd + 24, false, 1},
		{"own clock jumps ahead", winEnd - 1, winEnd + 100_000, false, 0},
		{"own clock is behind", winEnd + 24, start, false, 1},
		{"revoked on the ledger", start, start, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			s.deposited()
			if test.revoke {
				s.order(s.revocation())
			}
			s.at(test.ledger, test.own)
			n, err := s.keeper.Sweep(ctx)
			if n != test.want || err != nil || len(s.vault.shares) != 1-test.want {
				t.Fatalf("destroyed %d, %v; %d left", n, err, len(s.vault.shares))
			}
			if n == 1 {
				if a := s.vault.acked[s.id]; len(a) != 1 || a[0].End != ledgerclient.DestroyedShare || a[0].Hour != test.ledger || a[0].Verify(s.log.id, s.id, s.keeper.Key()) != nil {
					t.Errorf("acknowledgement %+v", a)
				}
			}
			if n, err := s.keeper.Sweep(ctx); n != 0 || err != nil {
				t.Errorf("again: %d, %v", n, err)
			}
		})
	}
	// The last hour there is, and a share of a grant that the replica lacks.
	s := newScene(t)
	s.deposited()
	for _, d := range s.vault.shares {
		s.vault.shares[Grant{contract.ID{1}, 0}] = d
	}
	s.at(1<<32-1, start)
	if n, err := s.keeper.Sweep(ctx); n != 1 || err != nil || len(s.vault.shares) != 1 {
		t.Errorf("destroyed %d, %v", n, err)
	}
}

func (s *scene) inquiry(key *crypto.PrivateKey) ledgerclient.Inquiry {
	q := ledgerclient.Inquiry{Ledger: s.log.id, Keeper: s.keeper.Key(), Grant: s.id}
	q.Sign(key)
	return q
}

func TestInquire(t *testing.T) {
	s := newScene(t)
	s.deposited()
	r, _ := s.request(s.access())
	s.ask(r)
	refused, acks, err := s.keeper.Inquire(ctx, s.inquiry(s.author))
	if err != nil || len(refused) != 1 || len(acks) != 0 {
		t.Fatalf("%d, %d, %v", len(refused), len(acks), err)
	}
	if err := refused[0].Verify(s.log.id, s.keeper.Key()); err != nil || refused[0].Answer.Code != ledgerclient.NotYet {
		t.Errorf("%s, %v", refused[0].Answer.Code, err)
	}
	elsewhere := s.inquiry(s.author)
	elsewhere.Ledger[0] ^= 1
	elsewhere.Sign(s.author)
	unknown := s.inquiry(s.author)
	unknown.Grant[0] ^= 1
	unknown.Sign(s.author)
	for name, test := range map[string]struct {
		q    ledgerclient.Inquiry
		code ledgerclient.Code
	}{
		"the recipient":  {s.inquiry(s.partner), ledgerclient.WrongKey},
		"a stranger":     {s.inquiry(crypto.GenerateKey()), ledgerclient.WrongKey},
		"another ledger": {elsewhere, ledgerclient.BadRequest},
		"no such grant":  {unknown, ledgerclient.UnknownGrant},
	} {
		rs, as, err := s.keeper.Inquire(ctx, test.q)
		var k *ledgerclient.KeeperError
		if !errors.As(err, &k) || k.Code != test.code || rs != nil || as != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who refuses to stop asking fills no disk.
func TestRefusalsAreBounded(t *testing.T) {
	s := newScene(t)
	r, _ := s.request(s.access())
	s.vault.filed[s.id] = make([]ledgerclient.Refused, MaxRefused-1)
	for range 3 {
		s.ask(r)
	}
	if n := len(s.vault.filed[s.id]); n != MaxRefused {
		t.Errorf("%d filed", n)
	}
}

func BenchmarkDeposit1000(b *testing.B) {
	s := newScene(b)
	deposits := make([]ledgerclient.Deposit, 1000)
	for i := range deposits {
		shares, pkg, e := s.newGrant(s.author, s.partner)
		s.order(e)
		deposits[i] = ledgerclient.Deposit{Ledger: s.log.id, Grant: e.ID(s.log.id), Keeper: s.keeper.Key(), Share: shares[0], Package: pkg.Marshal()}
		deposits[i].Sign(s.author)
	}
	for b.Loop() {
		if _, err := s.keeper.Deposit(ctx, deposits); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRelease(b *testing.B) {
	s := newScene(b)
	s.deposited()
	s.at(winStart, winStart)
	a := s.access()
	s.order(a)
	r, _ := s.request(a)
	for b.Loop() {
		s.ask(r)
	}
}
