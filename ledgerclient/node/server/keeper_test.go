package server

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// open opens an envelope with the share in a release, as the clinic does.
func (w *world) open(g *given, access contract.Entry, a ledgerclient.Answer, response *crypto.PrivateKey) []byte {
	w.t.Helper()
	share, err := crypto.OpenShare(crypto.ShareContext{Ledger: w.ledger, Grant: g.id, Keeper: w.keeper, Access: access.ID(w.ledger)}, response, a.Sealed)
	w.must(err)
	if share.Hash(w.ledger, g.key.Public()) != g.pkg.Shares[0] {
		w.t.Fatal("another share")
	}
	key, err := crypto.CombineShares([]crypto.Share{share}, 1)
	w.must(err)
	body, err := crypto.OpenBlob(w.ok(w.fetch(g.offsets.Locator(g.id, byte(ledgerclient.PartEnvelope)))))
	w.must(err)
	locked, err := key.Unlock(w.ledger, g.key.Public(), body)
	w.must(err)
	plain, err := g.oneTime.Open(crypto.SealContext{Ledger: w.ledger, Part: byte(ledgerclient.PartEnvelope), Author: g.key.Public()}, locked)
	w.must(err)
	return plain
}

// A grant, its access, its release, its revocation and the patient's inquiry,
// message by message.
func TestKeeper(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	state := func() ledgerclient.KeeperState {
		t.Helper()
		q := w.inquiry(g)
		s, err := node.KeeperStateForm.Parse(w.ok(w.post(node.PathState, ledgerclient.Marshal(&q))))
		w.must(err)
		return s
	}
	// Ids are public: who is no side of the grant is told nothing.
	ask := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: g.id}
	ask.SignState(g.key)
	w.refused("before the grant", w.post(node.PathState, ledgerclient.Marshal(&ask)), node.KindKeeper)
	w.refused("without a signature", w.post(node.PathState, g.id[:]), node.KindMalformed)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(g.puts)))
	w.order(g.entry)
	if s := state(); s.Held || s.Ended != 0 || s.Grant != g.id {
		t.Errorf("before: %+v", s)
	}
	w.give(g)
	ask.SignState(crypto.GenerateKey())
	w.refused("a stranger", w.post(node.PathState, ledgerclient.Marshal(&ask)), node.KindKeeper)
	ledgerclient.Sign(&ask, g.key)
	w.refused("another question", w.post(node.PathState, ledgerclient.Marshal(&ask)), node.KindKeeper)
	if s := state(); !s.Held {
		t.Errorf("given: %+v", s)
	}
	access, put := w.access(g)
	r, response := w.request(g, access)
	if a := w.release(&r); a.Code != ledgerclient.NoAccess || a.Sealed != nil {
		t.Errorf("before the access: %s", a.Code)
	}
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
	w.order(access)
	a := w.release(&r)
	if a.Code != ledgerclient.Released {
		t.Fatalf("%s", a.Code)
	}
	if got := w.open(g, access, a, response); !bytes.Equal(got, g.secret) {
		t.Errorf("opened %q", got)
	}

	revocation := w.revocation(g)
	revoke := func() ledgerclient.Acknowledgement {
		t.Helper()
		acks, codes, err := said(node.AcknowledgementsForm.Parse(w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{revocation})))))
		w.must(err)
		if codes[0] != ledgerclient.Released {
			t.Fatalf("%s", codes[0])
		}
		w.must(acks[0].Verify(w.ledger, g.id, w.keeper))
		return acks[0]
	}
	w.order(revocation)
	if ack := revoke(); ack.End != ledgerclient.DestroyedShare {
		t.Errorf("%s", ack.End)
	}
	if s := state(); s.Held || s.Ended != ledgerclient.DestroyedShare {
		t.Errorf("revoked: %+v", s)
	}
	late, _ := w.request(g, access)
	if a := w.release(&late); a.Code != ledgerclient.Revoked {
		t.Errorf("after the revocation: %s", a.Code)
	}

	q := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: g.id}
	rand.Read(q.Nonce[:])
	ledgerclient.Sign(&q, g.key)
	filed, err := ledgerclient.Parse[ledgerclient.InquiryAnswer](w.ok(w.post(node.PathInquire, ledgerclient.Marshal(&q))))
	w.must(err)
	w.must(filed.Verify(&q, g.entry.Counterparty))
	if len(filed.Refused) != 2 || filed.Refused[0].Answer.Code != ledgerclient.NoAccess || len(filed.Acks) != 1 {
		t.Errorf("%d refused, %d acknowledged", len(filed.Refused), len(filed.Acks))
	}
	// Not for anybody else, and an older answer fits no new question.
	ledgerclient.Sign(&q, crypto.GenerateKey())
	if p := w.refused("a stranger's inquiry", w.post(node.PathInquire, ledgerclient.Marshal(&q)), node.KindKeeper); p.Keeper.Code != ledgerclient.WrongKey || p.Keeper.Grant != g.id {
		t.Errorf("%s", p.Keeper.Code)
	}
	q.Nonce[0] ^= 1
	ledgerclient.Sign(&q, g.key)
	if filed.Verify(&q, g.entry.Counterparty) == nil {
		t.Error("an older answer is taken for a new one")
	}
}

// Promise 4: what strangers order, or are refused, leaves room on the disk.
// Who may open something is answered all the same, and who revokes too.
func TestReserveIsForRevocations(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	w.give(g)
	access, put := w.access(g)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
	w.order(access)
	good, _ := w.request(g, access)
	other, _ := w.access(g)
	bad, _ := w.request(g, other) // its access is not on the ledger
	w.server.disk.free = func(string) (free, all space, ok bool) {
		return space{w.server.limits.Reserve / 2, 1 << 30}, space{1 << 40, 1 << 30}, true
	}
	w.refused("a grant", w.post(node.PathEntries, node.EntriesForm.Marshal([]contract.Entry{w.grant().entry})), node.KindFull)
	for range 3 {
		if a := w.release(&bad); a.Code != ledgerclient.NoAccess {
			t.Error(a.Code)
		}
	}
	if a := w.release(&good); a.Code != ledgerclient.Released {
		t.Error(a.Code)
	}
	q := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: g.id}
	ledgerclient.Sign(&q, g.key)
	filed, err := ledgerclient.Parse[ledgerclient.InquiryAnswer](w.ok(w.post(node.PathInquire, ledgerclient.Marshal(&q))))
	w.must(err)
	if len(filed.Refused) != 0 || filed.More != 3 {
		t.Errorf("%d filed on a full disk, %d counted", len(filed.Refused), filed.More)
	}
	revocation := w.revocation(g)
	w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{revocation})))
	w.order(revocation)
	if a := w.release(&good); a.Code != ledgerclient.Revoked {
		t.Error(a.Code)
	}
}

func TestKeeperRefuses(t *testing.T) {
	w := newWorld(t, nil)
	g, absent := w.grant(), w.grant()
	w.order(g.entry)
	forged := w.deposit(g)
	forged.Signature[4] ^= 1
	batch := []ledgerclient.Deposit{forged, w.deposit(absent), w.deposit(g)}
	receipts, codes, err := said(node.ReceiptsForm.Parse(w.ok(w.post(node.PathDeposit, node.DepositsForm.Marshal(batch)))))
	w.must(err)
	if codes[0] != ledgerclient.WrongKey || codes[1] != ledgerclient.UnknownGrant || codes[2] != ledgerclient.Released || receipts[2].Verify(&batch[2], g.key.Public()) != nil {
		t.Errorf("%v", codes)
	}
	bad := w.revocation(g)
	bad.Author = absent.key.Public()
	acks, codes, err := said(node.AcknowledgementsForm.Parse(w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{bad, w.revocation(absent), w.revocation(g)})))))
	w.must(err)
	if codes[0] != ledgerclient.WrongKey || codes[1] != ledgerclient.UnknownGrant || codes[2] != ledgerclient.Released || acks[2].End != ledgerclient.Stopped {
		t.Errorf("%v", codes)
	}
	for _, path := range []string{node.PathDeposit, node.PathState, node.PathRelease, node.PathRevoke, node.PathInquire, node.PathErase} {
		w.refused(path, w.post(path, nil), node.KindMalformed)
		w.refused(path, w.post(path, []byte{1, 2, 3}), node.KindMalformed)
	}
}

// Promise 3, and "enforced": whoever has the whole store, the whole log, his keys
// in the raw and a program of his own gets no share without an access on the
// ledger, whatever he sends.
func TestEnforcedGate(t *testing.T) {
	w := newWorld(t, nil)
	g, other := w.grant(), w.grant()
	w.give(g)
	w.give(other)
	access, _ := w.access(g)
	forOther, _ := w.access(other)
	w.order(forOther) // he may open the other one

	leak := func(a ledgerclient.Answer, response *crypto.PrivateKey, access contract.Entry) {
		t.Helper()
		if a.Sealed != nil || a.Code == ledgerclient.Released {
			t.Errorf("a share was released: %s", a.Code)
		}
	}
	// An access that he signed and did not submit.
	r, response := w.request(g, access)
	leak(w.release(&r), response, access)
	// One that the ledger refused.
	early := access
	early.NotBefore, early.NotAfter = w.hour()+10, w.hour()+20
	early.Signature = g.oneTime.Sign(early.ID(w.ledger))
	if o := w.submit(early); o[0].Refusal == nil || o[0].Refusal.Rule != contract.RuleEarly {
		t.Fatalf("%+v", o)
	}
	r, response = w.request(g, early)
	leak(w.release(&r), response, early)
	// The access of another grant, as it is and with the subject changed.
	r, response = w.request(other, forOther)
	r.Access.Subject = g.id
	ledgerclient.Sign(&r, other.oneTime)
	leak(w.release(&r), response, r.Access)
	r, response = w.request(g, forOther)
	leak(w.release(&r), response, forOther)
	// Another ledger's name, another keeper's.
	r, response = w.request(g, access)
	r.Ledger[0] ^= 1
	ledgerclient.Sign(&r, g.oneTime)
	leak(w.release(&r), response, access)
	r, response = w.request(g, access)
	r.Keeper = g.oneTime.Sig
	ledgerclient.Sign(&r, g.oneTime)
	leak(w.release(&r), response, access)
	// An entry that is on the ledger, but is no access: the grant itself.
	r, response = w.request(g, g.entry)
	leak(w.release(&r), response, g.entry)
	// The share is at no address of the store, under no locator that he can make.
	for part := range byte(8) {
		if r := w.fetch(g.offsets.Locator(g.id, part)); r.status == 200 && part != byte(ledgerclient.PartTerms) && part != byte(ledgerclient.PartEnvelope) {
			t.Errorf("part %d is served", part)
		}
	}
	for _, path := range []string{"keeper", "keeper/", "keeper/shares", "keeper/keeper.k256", "../keeper/shares", "tile/../keeper/shares", "store/", "keys/keeper.k256", "leaves"} {
		if r := w.get(node.Prefix + path); r.status != 404 && r.status != 405 {
			t.Errorf("%s: status %d", path, r.status)
		}
	}
	// With the access on the ledger he gets it, and the trace is there.
	w.order(access)
	r, response = w.request(g, access)
	a := w.release(&r)
	if a.Code != ledgerclient.Released || !bytes.Equal(w.open(g, access, a, response), g.secret) {
		t.Errorf("with an access: %s", a.Code)
	}
}

// Promise 4: a revocation that reached the keeper stops the release at once,
// although the ledger never got it.
func TestRevocationWithheld(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	w.give(g)
	access, _ := w.access(g)
	w.order(access)
	r, _ := w.request(g, access)
	if a := w.release(&r); a.Code != ledgerclient.Released {
		t.Fatalf("%s", a.Code)
	}
	tree, _ := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint)))
	acks, codes, err := said(node.AcknowledgementsForm.Parse(w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{w.revocation(g)})))))
	w.must(err)
	if codes[0] != ledgerclient.Released || acks[0].End != ledgerclient.Stopped || acks[0].Verify(w.ledger, g.id, w.keeper) != nil {
		t.Errorf("%s, %s", codes[0], acks[0].End)
	}
	for range 2 {
		if a := w.release(&r); a.Code != ledgerclient.Revoked || a.Sealed != nil {
			t.Errorf("%s", a.Code)
		}
		w.clock.pass(2 * time.Hour)
		again, _ := w.access(g)
		w.order(again) // the ledger still takes accesses
		r, _ = w.request(g, again)
	}
	if after, _ := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint))); after.N != tree.N+2 {
		t.Errorf("%d entries after %d", after.N, tree.N)
	}
}

// A node whose keeper's key is damaged gives no receipt, acknowledgement or share, and
// orders a revocation all the same; with the key of its checkpoints damaged the keeper
// stops what it is told to.
func TestDamagedKeys(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	w.give(g)
	e := w.revocation(g)
	for _, key := range []struct {
		file   string
		served func()
	}{
		{"node.ed25519", func() {
			w.refused("an entry", w.post(node.PathEntries, node.EntriesForm.Marshal([]contract.Entry{e})), node.KindDamaged)
			w.refused("a head", w.get(node.PathCheckpoint), node.KindDamaged)
			acks, codes, err := said(node.AcknowledgementsForm.Parse(w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{e})))))
			w.must(err)
			if codes[0] != ledgerclient.Released || acks[0].Verify(w.ledger, g.id, w.keeper) != nil {
				t.Errorf("stopped: %s", codes[0])
			}
		}},
		{"keeper.k256", func() {
			w.order(e)
			w.refused("a stop", w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{e})), node.KindDamaged)
			w.refused("a deposit", w.post(node.PathDeposit, node.DepositsForm.Marshal([]ledgerclient.Deposit{w.deposit(g)})), node.KindDamaged)
		}},
	} {
		w.http.Close()
		w.server.Close()
		w.must(w.folder.Close())
		path := filepath.Join(w.dir, "keys", key.file)
		good, err := os.ReadFile(path)
		w.must(err)
		w.must(os.WriteFile(path, bytes.Repeat([]byte("1"), len(good)), 0o600))
		w.start(nil)
		if h := w.server.Health(); h != "keys" {
			t.Errorf("%s damaged: health is %s", key.file, h)
		}
		key.served()
		w.must(os.WriteFile(path, good, 0o600))
	}
}
