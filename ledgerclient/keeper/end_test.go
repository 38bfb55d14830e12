package keeper

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

func TestRevoke(t *testing.T) {
	s := newScene(t)
	s.deposited()
	e := s.revocation()
	first := s.revoke(e)
	if first.End != ledgerclient.Stopped || len(s.vault.shares) != 1 {
		t.Fatalf("%s before it is ordered, %d shares", first.End, len(s.vault.shares))
	}
	if st, _ := s.state(); st.Ended != ledgerclient.Stopped {
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
	if st, _ := s.state(); st.Held || st.Ended != ledgerclient.DestroyedShare {
		t.Errorf("state %+v", st)
	}
	filed, err := s.keeper.Inquire(ctx, s.inquiry(s.author))
	refused, acks := filed.Refused, filed.Acks
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
	// More than are looked at together.
	many := newScene(t)
	for range sweepChunk + 3 {
		shares, pkg, e := many.newGrant(crypto.GenerateKey(), many.partner)
		many.order(e)
		g := Grant{e.ID(many.log.id), winEnd}
		many.vault.shares[g] = ledgerclient.Deposit{Ledger: many.log.id, Grant: g.ID, Keeper: many.keeper.Key(), Share: shares[0], Package: pkg.Marshal()}
	}
	many.at(winEnd+GraceHours, start)
	if n, err := many.keeper.Sweep(ctx); n != sweepChunk+3 || err != nil || len(many.vault.shares) != 0 {
		t.Errorf("destroyed %d, %v; %d left", n, err, len(many.vault.shares))
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

// state is what the keeper tells the patient about its share.
func (s *scene) state() (ledgerclient.KeeperState, error) {
	q := ledgerclient.Inquiry{Ledger: s.log.id, Keeper: s.keeper.Key(), Grant: s.id}
	q.SignState(s.author)
	return s.keeper.State(ctx, q)
}

func (s *scene) inquiry(key *crypto.PrivateKey) ledgerclient.Inquiry {
	q := ledgerclient.Inquiry{Ledger: s.log.id, Keeper: s.keeper.Key(), Grant: s.id}
	rand.Read(q.Nonce[:])
	ledgerclient.Sign(&q, key)
	return q
}

// Whether a share is held is told to both sides of the grant and to nobody else.
func TestState(t *testing.T) {
	s := newScene(t)
	s.deposited()
	sign := func(q *ledgerclient.Inquiry, key *crypto.PrivateKey) { ledgerclient.Sign(q, key) }
	for name, test := range map[string]struct {
		signer *crypto.PrivateKey
		change func(*ledgerclient.Inquiry)
		sign   func(*ledgerclient.Inquiry, *crypto.PrivateKey)
		code   ledgerclient.Code
	}{
		"the patient":       {signer: s.author},
		"the recipient":     {signer: s.partner},
		"a stranger":        {signer: crypto.GenerateKey(), code: ledgerclient.WrongKey},
		"another question":  {signer: s.author, sign: sign, code: ledgerclient.WrongKey},
		"another ledger":    {signer: s.author, change: func(q *ledgerclient.Inquiry) { q.Ledger[0] ^= 1 }, code: ledgerclient.BadRequest},
		"another keeper":    {signer: s.author, change: func(q *ledgerclient.Inquiry) { q.Keeper = s.author.Public() }, code: ledgerclient.BadRequest},
		"no such grant":     {signer: s.author, change: func(q *ledgerclient.Inquiry) { q.Grant[0] ^= 1 }, code: ledgerclient.UnknownGrant},
		"changed since":     {signer: s.author, sign: func(q *ledgerclient.Inquiry, k *crypto.PrivateKey) { q.SignState(k); q.Nonce[0] ^= 1 }, code: ledgerclient.WrongKey},
		"for the inquiries": {signer: s.partner, sign: sign, code: ledgerclient.WrongKey},
	} {
		q := ledgerclient.Inquiry{Ledger: s.log.id, Keeper: s.keeper.Key(), Grant: s.id}
		if test.change != nil {
			test.change(&q)
		}
		if test.sign != nil {
			test.sign(&q, test.signer)
		} else {
			q.SignState(test.signer)
		}
		st, err := s.keeper.State(ctx, q)
		if test.code == 0 {
			if err != nil || st != (ledgerclient.KeeperState{Grant: s.id, Held: true}) {
				t.Errorf("%s: %+v, %v", name, st, err)
			}
			continue
		}
		var k *ledgerclient.KeeperError
		if !errors.As(err, &k) || k.Code != test.code || st != (ledgerclient.KeeperState{}) {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
}

func TestInquire(t *testing.T) {
	s := newScene(t)
	s.deposited()
	r, _ := s.request(s.access())
	s.ask(r)
	q := s.inquiry(s.author)
	a, err := s.keeper.Inquire(ctx, q)
	refused := a.Refused
	if err != nil || len(refused) != 1 || len(a.Acks) != 0 {
		t.Fatalf("%d, %d, %v", len(refused), len(a.Acks), err)
	}
	if err := a.Verify(&q, s.partner.Public()); err != nil {
		t.Error(err)
	}
	again := s.inquiry(s.author)
	if err := a.Verify(&again, s.partner.Public()); err == nil {
		t.Error("an answer to an older inquiry verifies")
	}
	less := a
	less.Refused = nil
	if err := less.Verify(&q, s.partner.Public()); err == nil {
		t.Error("an answer without the refused request verifies")
	}
	if err := refused[0].Verify(s.log.id, s.keeper.Key()); err != nil || refused[0].Answer.Code != ledgerclient.NotYet {
		t.Errorf("%s, %v", refused[0].Answer.Code, err)
	}
	elsewhere := s.inquiry(s.author)
	elsewhere.Ledger[0] ^= 1
	ledgerclient.Sign(&elsewhere, s.author)
	unknown := s.inquiry(s.author)
	unknown.Grant[0] ^= 1
	ledgerclient.Sign(&unknown, s.author)
	for name, test := range map[string]struct {
		q    ledgerclient.Inquiry
		code ledgerclient.Code
	}{
		"the recipient":  {s.inquiry(s.partner), ledgerclient.WrongKey},
		"a stranger":     {s.inquiry(crypto.GenerateKey()), ledgerclient.WrongKey},
		"another ledger": {elsewhere, ledgerclient.BadRequest},
		"no such grant":  {unknown, ledgerclient.UnknownGrant},
	} {
		a, err := s.keeper.Inquire(ctx, test.q)
		var k *ledgerclient.KeeperError
		if !errors.As(err, &k) || k.Code != test.code || a.Refused != nil || a.Acks != nil {
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
	if n, more := len(s.vault.filed[s.id]), s.vault.more[s.id]; n != MaxRefused || more != 2 {
		t.Errorf("%d filed, %d counted", n, more)
	}
}
