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
			ledgerclient.Sign(&r, crypto.GenerateKey())
			return r
		}},
		{"request signed by the grant's author", ledgerclient.WrongKey, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			ledgerclient.Sign(&r, s.author)
			return r
		}},
		{"somebody else's access and request", ledgerclient.WrongKey, false, func(s *scene) ledgerclient.Request {
			mallory := crypto.GenerateKey()
			r, _ := s.request(s.sign(s.access(), mallory))
			ledgerclient.Sign(&r, mallory)
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
			s.log.sure = 0
			return r
		}},
		{"access behind the head that enough have signed", ledgerclient.StaleHead, true, func(s *scene) ledgerclient.Request {
			s.log.sure = uint64(len(s.log.leaves))
			return ordered(s)
		}},
		{"head not fresh, but revoked for ever", ledgerclient.Revoked, true, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			s.order(s.revocation())
			s.log.sure = 0
			return r
		}},

		{"for another ledger", ledgerclient.BadRequest, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			r.Ledger[0] ^= 1
			ledgerclient.Sign(&r, s.partner)
			return r
		}},
		{"for another keeper", ledgerclient.BadRequest, false, func(s *scene) ledgerclient.Request {
			r := ordered(s)
			r.Keeper = crypto.GenerateKey().Public()
			ledgerclient.Sign(&r, s.partner)
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
			ledgerclient.Sign(&r, s.partner)
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
			ledgerclient.Sign(&d, crypto.GenerateKey())
			return d
		}},
		{"by the recipient", ledgerclient.WrongKey, func(s *scene) ledgerclient.Deposit {
			d := s.deposit(nil)
			ledgerclient.Sign(&d, s.partner)
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
	if st, err := s.state(); err != nil || st.Held || st.Ended != 0 {
		t.Errorf("before: %+v, %v", st, err)
	}
	stranger := s.deposit(nil)
	ledgerclient.Sign(&stranger, crypto.GenerateKey())
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
	if st, err := s.state(); err != nil || !st.Held || st.Ended != 0 {
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

func BenchmarkDeposit1000(b *testing.B) {
	s := newScene(b)
	deposits := make([]ledgerclient.Deposit, 1000)
	for i := range deposits {
		shares, pkg, e := s.newGrant(s.author, s.partner)
		s.order(e)
		deposits[i] = ledgerclient.Deposit{Ledger: s.log.id, Grant: e.ID(s.log.id), Keeper: s.keeper.Key(), Share: shares[0], Package: pkg.Marshal()}
		ledgerclient.Sign(&deposits[i], s.author)
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
