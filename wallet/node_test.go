package wallet_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/nodetest"
	"github.com/carekey/carekey/wallet"
)

// serveNode is another process: a node that says its invitation and then does what
// it is told, a line at a time, until its input ends.
func serveNode(d district) error {
	n, err := nodetest.Start(d.ledger(), "City ledger", d.clock)
	if err != nil {
		return err
	}
	defer n.Close()
	inv, err := n.Invitation()
	if err != nil {
		return err
	}
	fmt.Println(inv)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		lie, about, _ := strings.Cut(in.Text(), " ")
		if err := n.Lie(lie, about); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return in.Err()
}

// remoteNode is a node in another process.
type remoteNode struct {
	t   testing.TB
	d   district
	inv node.Invitation
	in  io.Writer
	out *bufio.Reader
}

func newRemoteNode(t testing.TB) *remoteNode {
	t.Helper()
	r := &remoteNode{t: t, d: district{t.TempDir()}}
	cmd := otherProcess(t, "node", r.d, "")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	r.in, r.out = in, bufio.NewReader(out)
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if r.inv, err = node.ParseInvitation(line); err != nil {
		t.Fatal(err)
	}
	return r
}

// lie makes the node lie; "" makes it honest.
func (r *remoteNode) lie(name string) {
	r.t.Helper()
	fmt.Fprintln(r.in, name)
	if line, err := r.out.ReadString('\n'); err != nil || line != "done\n" {
		r.t.Fatalf("%q %v", line, err)
	}
}

func (r *remoteNode) services() ledgerclient.Services {
	r.t.Helper()
	n, err := node.Dial(context.Background(), r.inv, node.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { n.Close() })
	return n.Services()
}

// person makes a wallet on the node.
func (r *remoteNode) person(name string, entropy crypto.Entropy) *wallet.Wallet {
	r.t.Helper()
	w, err := wallet.Create(context.Background(), wallet.Options{Dir: r.d.home(name), Keyring: &memoryKeyring{items: map[string]string{}}, Services: r.services(), Now: r.d.clock}, entropy, name, r.inv.String())
	if err != nil {
		r.t.Fatal(err)
	}
	return w
}

// Promises 3 and 4 where the gate is enforced. The recipient plays no carekey, but
// her raw keys, the whole store and the whole log: without an access entry on the
// node's ledger she opens nothing; with one she does; and once the keeper was told
// of a revocation, not even then, though the ledger keeps the revocation back.
func TestGateIsEnforcedAtANode(t *testing.T) {
	ctx := context.Background()
	r := newRemoteNode(t)
	entropy := crypto.NewEntropy()
	patient, clinic := r.person("Maria", crypto.NewEntropy()), r.person("Dr Smith", entropy)
	add(t, patient, "allergies.txt", "Penicillin: anaphylaxis, 2009")
	if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	consent, _ := grant(t, patient, "Dr Smith", noon)

	s := r.services()
	if p := s.Ledger.Properties(); p.Gate != ledgerclient.Enforced || !p.Remote {
		t.Fatalf("%+v", p)
	}
	client, err := ledgerclient.Connect(ctx, s, r.inv.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	client.Now = r.d.clock
	var opening contract.Entry
	follow := func() (ledgerclient.Pin, error) {
		pin, _, err := client.Advance(ctx, ledgerclient.Pin{}, ledgerclient.Pin{}, func(_ uint64, l *contract.Leaf) error {
			if l.Entry.ID(r.inv.Ledger) == consent.ID {
				opening = l.Entry
			}
			return nil
		})
		return pin, err
	}
	pin, err := follow()
	if err != nil {
		t.Fatal(err)
	}
	root := entropy.Root()
	keys, mine, err := root.Identity().Recognize(r.inv.Ledger, opening.Author, opening.Counterparty)
	if err != nil || !mine {
		t.Fatal(mine, err)
	}

	// Everything that the store holds, and not only what she can name.
	var blobs [][]byte
	for part := ledgerclient.PartMetadata; part <= ledgerclient.PartAccess; part++ {
		for _, at := range foldertest.Payloads(r.d.ledger(), part) {
			blobs = append(blobs, must(at.Read())(t))
		}
	}
	if len(blobs) == 0 {
		t.Fatal("the store holds nothing")
	}
	about := crypto.SealContext{Ledger: r.inv.Ledger, Part: byte(ledgerclient.PartEnvelope), Author: opening.Author}
	opens := func(lock *crypto.LockKey) (opened int) {
		for _, b := range blobs {
			for _, part := range [][]byte{b, b[min(len(b), 32):]} {
				if lock != nil {
					if part, err = lock.Unlock(r.inv.Ledger, opening.Author, part); err != nil {
						continue
					}
				}
				if _, err := keys.Open(about, part); err == nil {
					opened++
				}
			}
		}
		return opened
	}
	if n := opens(nil); n != 0 {
		t.Errorf("%d envelopes open without the keeper", n)
	}

	// She asks the keeper with accesses that are not on the ledger.
	keeper := s.Keepers[0]
	hour := pin.Hour
	access := func(change func(e *contract.Entry)) contract.Entry {
		e := contract.Entry{Version: contract.Version, Kind: contract.KindAccess, Author: keys.Sig, Subject: consent.ID}
		rand.Read(e.Commitment[:])
		e.NotBefore, e.NotAfter = contract.Acceptance(hour)
		if change != nil {
			change(&e)
		}
		e.Signature = keys.Sign(e.ID(r.inv.Ledger))
		return e
	}
	ask := func(e contract.Entry, change func(q *ledgerclient.Request)) (crypto.Share, ledgerclient.Code, error) {
		response := crypto.GenerateKey()
		q := ledgerclient.Request{Ledger: r.inv.Ledger, Keeper: keeper.Key(), Access: e, Response: response.Public()}
		if change != nil {
			change(&q)
		}
		ledgerclient.Sign(&q, keys)
		a, err := keeper.Release(ctx, q)
		if err != nil {
			return crypto.Share{}, 0, err
		}
		if err := a.Verify(&q, keeper.Key()); err != nil {
			t.Fatal(err)
		}
		if a.Code != ledgerclient.Released {
			return crypto.Share{}, a.Code, nil
		}
		share, err := crypto.OpenShare(crypto.ShareContext{Ledger: r.inv.Ledger, Grant: consent.ID, Keeper: keeper.Key(), Access: e.ID(r.inv.Ledger)}, response, a.Sealed)
		return share, a.Code, err
	}
	for name, e := range map[string]contract.Entry{
		"not on the ledger": access(nil),
		"of another time":   access(func(e *contract.Entry) { e.NotBefore, e.NotAfter = contract.Acceptance(hour + 1000) }),
		"the grant itself":  opening,
		"a record":          access(func(e *contract.Entry) { e.Kind = contract.KindRecord }),
		"of another grant":  access(func(e *contract.Entry) { e.Subject[0]++ }),
		"by another key":    access(func(e *contract.Entry) { e.Author = crypto.GenerateKey().Public() }),
	} {
		if _, code, err := ask(e, nil); err != nil || code == ledgerclient.Released {
			t.Errorf("access %s: %v %v", name, code, err)
		}
	}
	if _, code, err := ask(access(nil), func(q *ledgerclient.Request) { q.Ledger[0]++ }); err != nil || code == ledgerclient.Released {
		t.Errorf("another ledger: %v %v", code, err)
	}
	var refused *ledgerclient.KeeperError
	q := ledgerclient.Inquiry{Ledger: r.inv.Ledger, Keeper: keeper.Key(), Grant: consent.ID}
	ledgerclient.Sign(&q, root.SelfKey())
	if _, err := keeper.Inquire(ctx, q); !errors.As(err, &refused) {
		t.Errorf("inquiry of a stranger: %v", err)
	}

	// With an access on the ledger, and so in the patient's audit, she opens it.
	e := access(nil)
	if out, err := client.Submit(ctx, []contract.Entry{e}); err != nil || out[0].Refusal != nil {
		t.Fatal(out, err)
	}
	share, code, err := ask(e, nil)
	if err != nil || code != ledgerclient.Released {
		t.Fatal(code, err)
	}
	lock, err := crypto.CombineShares([]crypto.Share{share}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if n := opens(&lock); n != 1 {
		t.Errorf("%d envelopes open with the keeper", n)
	}
	attempts := 0
	opened := false
	for _, ev := range must(patient.Audit().Events(ctx))(t) {
		if ev.What == wallet.Refused {
			attempts++
		}
		opened = opened || ev.What == wallet.Opened
	}
	if !opened || attempts == 0 {
		t.Errorf("the audit shows %d attempts, opened %v", attempts, opened)
	}

	// The ledger takes no entries any more. The keeper is told all the same.
	r.lie("withheld-entries")
	if _, err := patient.Consents().Revoke(ctx, []contract.ID{consent.ID}); err == nil {
		t.Error("the revocation was ordered")
	}
	if _, code, err := ask(e, nil); err != nil || code != ledgerclient.Revoked {
		t.Errorf("after a revocation that the ledger keeps back: %v %v", code, err)
	}
	r.lie("")
	if cs := must(patient.Consents().List(ctx))(t); len(cs) != 1 || cs[0].Status != wallet.StatusRevoked {
		t.Errorf("the revocation was lost: %+v", cs)
	}
	var raw bytes.Buffer
	if o, err := clinic.Inbox().OpenByID(ctx, consent.ID.String(), ""); err == nil {
		t.Errorf("opened after all: %v", o.Read(ctx, 0, &raw, nil))
	}
}

// A node sees no question from which it could tell which consents are whose: the
// wallet reads all leaves, whatever it is asked.
func TestNoQuestionAboutOneThread(t *testing.T) {
	ctx := context.Background()
	n, err := nodetest.Start(filepath.Join(t.TempDir(), "node"), "City ledger", func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var mu sync.Mutex
	asked := map[string]bool{}
	watch := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.Method+" "+r.URL.Path] = true
		mu.Unlock()
		n.ServeHTTP(w, r)
	}))
	defer watch.Close()
	inv, err := n.Invitation()
	if err != nil {
		t.Fatal(err)
	}
	inv.URLs = []string{watch.URL}
	r := &remoteNode{t: t, d: district{t.TempDir()}, inv: inv}
	patient, clinic := r.person("Maria", crypto.NewEntropy()), r.person("Dr Smith", crypto.NewEntropy())
	rec := add(t, patient, "a.txt", "one")
	if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
		t.Fatal(err)
	}
	consent, code := grant(t, patient, "Dr Smith", noon)
	id := consent.ID.String()
	must(clinic.Inbox().List(ctx))(t)
	must(clinic.Inbox().OpenByCode(ctx, code, "why"))(t)
	must(patient.Audit().Events(ctx))(t)
	must(patient.Audit().Status(ctx))(t)
	must(patient.Consents().Explain(ctx, id))(t)
	must(patient.Consents().ExplainAccess(ctx, "Dr Smith", rec.ID.String()))(t)
	if _, _, err := patient.Consents().Show(ctx, id); err != nil {
		t.Error(err)
	}
	must(patient.Consents().Revoke(ctx, []contract.ID{consent.ID}))(t)
	if _, err := clinic.Inbox().OpenByCode(ctx, code, "again"); err == nil {
		t.Error("opened after the revocation")
	}
	other := code
	other.Consent[0]++
	if _, err := clinic.Inbox().OpenByCode(ctx, other, ""); err == nil {
		t.Error("opened what is not there")
	}
	stranger := r.person("Eve", crypto.NewEntropy())
	if _, err := stranger.Inbox().OpenByCode(ctx, code, ""); !errors.Is(err, wallet.ErrNotYours) {
		t.Errorf("somebody else's code: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !asked["GET "+node.PathNews] || !asked["POST "+node.PathRelease] {
		t.Errorf("not watched: %v", asked)
	}
}
