package folder

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// This is what "gate: advisory" means. THE STORY: a patient grants to a clinic on
// a folder ledger that both can read. The clinic does not run the program. It
// takes the share from the keeper's folder with a few lines of its own, and opens
// the locked envelope, without an access entry: the patient's audit shows
// nothing.
//
// The same clinic with the same code against a keeper in another process, whose
// vault it cannot read, gets nothing until its access stands on the ledger.
func TestFolderGateIsAdvisory(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	g := p.grant()
	p.addGrant(f, g)

	// From here on only bytes and the clinic's own keys.
	at, err := foldertest.Share(f.dir, hexName(g.id))
	p.must(err)
	raw, err := at.Read()
	p.must(err)
	share, err := crypto.ParseShare(raw[32+32+33:][:33])
	if err != nil {
		t.Fatal(err)
	}
	opened, err := openWith(f.dir, f.id, g, share)
	if err != nil || !bytes.Equal(opened, g.secret) {
		t.Fatalf("a recipient who reads the folder does not open the envelope: %v", err)
	}
	if n := accesses(t, f, g.id); n != 0 {
		t.Fatalf("%d accesses in the log", n)
	}
	if gate := f.Properties().Gate; gate != ledgerclient.Advisory {
		t.Errorf("and yet the folder says that its gate is %s", gate)
	}
}

func TestFolderGateIsAdvisoryNotInAnotherProcess(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	k := startKeeper(t, f.dir)
	g := p.grant()
	p.must(f.store.PutBlobs(ctx, g.puts))
	mustAppend(t, f, []contract.Entry{g.entry})

	d := p.deposit(g, k.key)
	reply, err := k.call('d', ledgerclient.Marshal(&d))
	p.must(err)
	receipt, err := ledgerclient.Parse[ledgerclient.Receipt](reply)
	p.must(err)
	p.must(receipt.Verify(&d, g.entry.Author))

	// The recipient has the folder and looks everywhere in it.
	secret := g.shares[0].Bytes()
	if found := filesWith(t, f.dir, secret[1:]); len(found) > 0 {
		t.Fatalf("the share is in the folder: %v", found)
	}
	// Another key of his own choosing, or none, does not open.
	for i, guess := range []byte{0, 0xff} {
		s, err := crypto.ParseShare(append([]byte{1}, bytes.Repeat([]byte{guess}, 32)...))
		p.must(err)
		if _, err := openWith(f.dir, f.id, g, s); err == nil {
			t.Fatalf("guess %d opens the envelope", i)
		}
	}
	// He asks, with an access that he signed and kept to himself.
	access, put := p.access(g, clock.hour)
	ask := func() (ledgerclient.Answer, *crypto.PrivateKey) {
		t.Helper()
		r, response := p.request(g, access, k.key)
		reply, err := k.call('r', ledgerclient.Marshal(&r))
		p.must(err)
		a, err := ledgerclient.Parse[ledgerclient.Answer](reply)
		p.must(err)
		p.must(a.Verify(&r, k.key))
		return a, response
	}
	if a, _ := ask(); a.Code != ledgerclient.NoAccess || len(a.Sealed) != 0 {
		t.Fatalf("without an access on the ledger: %s", a.Code)
	}
	// Only once it is on the ledger he gets the share, and the patient her entry.
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{put}))
	mustAppend(t, f, []contract.Entry{access})
	a, response := ask()
	if a.Code != ledgerclient.Released {
		t.Fatalf("with an access on the ledger: %s", a.Code)
	}
	share, err := crypto.OpenShare(crypto.ShareContext{Ledger: f.id, Grant: g.id, Keeper: k.key, Access: access.ID(f.id)}, response, a.Sealed)
	p.must(err)
	opened, err := openWith(f.dir, f.id, g, share)
	if err != nil || !bytes.Equal(opened, g.secret) {
		t.Fatalf("with the share: %v", err)
	}
	if n := accesses(t, f, g.id); n != 1 {
		t.Fatalf("%d accesses in the log", n)
	}
}

// openWith is the recipient's way from a share to the plaintext, on raw bytes of
// the folder: combine, unlock, open with the one-time key.
func openWith(dir string, ledger crypto.LedgerID, g *given, share crypto.Share) ([]byte, error) {
	at, err := foldertest.Payload(dir, hex.EncodeToString(g.id[:]), ledgerclient.PartEnvelope)
	if err != nil {
		return nil, err
	}
	blob, err := at.Read()
	if err != nil {
		return nil, err
	}
	grant := g.pkg
	k, err := crypto.CombineShares([]crypto.Share{share}, int(grant.K))
	if err != nil {
		return nil, err
	}
	a := g.entry.Author
	if k.Hash(ledger, a) != grant.Lock {
		return nil, fmt.Errorf("not the key that locks the envelope")
	}
	locked, err := crypto.OpenBlob(blob)
	if err != nil {
		return nil, err
	}
	sealed, err := k.Unlock(ledger, a, locked)
	if err != nil {
		return nil, err
	}
	return g.oneTime.Open(crypto.SealContext{Ledger: ledger, Part: byte(ledgerclient.PartEnvelope), Author: a}, sealed)
}

func accesses(t *testing.T, f *Folder, grant contract.ID) (n int) {
	t.Helper()
	leaves, err := f.Leaves(ctx, 0, f.head.size)
	if err != nil {
		t.Fatal(err)
	}
	for i := range leaves {
		if e := &leaves[i].Entry; e.Kind == contract.KindAccess && e.Subject == grant {
			n++
		}
	}
	return n
}

// keeperProcess is a keeper in another process. Messages go over its standard
// input and output: a byte that says what is asked, or 0 or 1 for an answer or an
// error, then the length in 4 bytes, then the message.
type keeperProcess struct {
	t   *testing.T
	key crypto.PubKey
	in  io.WriteCloser
	out *bufio.Reader
}

const keeperProcessLedger = "CAREKEY_TEST_KEEPER_OF"

func startKeeper(t *testing.T, ledger string) *keeperProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKeeperProcess$")
	cmd.Env = append(os.Environ(), keeperProcessLedger+"="+ledger)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k := &keeperProcess{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("keeper process: %v", err)
		}
	})
	raw, err := k.call('k', nil)
	if err != nil {
		t.Fatal(err)
	}
	if k.key, err = crypto.ParsePubKey(raw); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *keeperProcess) call(what byte, message []byte) ([]byte, error) {
	if err := writeFrame(k.in, what, message); err != nil {
		return nil, err
	}
	status, reply, err := readFrame(k.out)
	if err == nil && status != 0 {
		err = fmt.Errorf("keeper: %s", reply)
	}
	return reply, err
}

func writeFrame(w io.Writer, what byte, message []byte) error {
	b := binary.BigEndian.AppendUint32([]byte{what}, uint32(len(message)))
	_, err := w.Write(append(b, message...))
	return err
}

func readFrame(r io.Reader) (what byte, message []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	message = make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err = io.ReadFull(r, message)
	return head[0], message, err
}

// TestKeeperProcess is the other process; by itself it does nothing. Its key and
// its vault are its own; of the ledger it reads the log, its own replica.
func TestKeeperProcess(t *testing.T) {
	dir := os.Getenv(keeperProcessLedger)
	if dir == "" {
		return
	}
	status := 0
	if err := serveKeeper(dir, bufio.NewReader(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status) // before the test's own output gets among the answers
}

func serveKeeper(dir string, in io.Reader, out io.Writer) error {
	own, err := os.MkdirTemp("", "keeper")
	if err != nil {
		return err
	}
	defer os.RemoveAll(own)
	clock := &testClock{testHour}
	f, err := Open(dir, Options{Clock: clock.now})
	if err != nil {
		return err
	}
	defer f.Close()
	g := f.ground()
	g.dir = own
	key := crypto.GenerateKey()
	k := keeper.New(f.id, key, f, vault{g}, f.hour)
	for {
		what, message, err := readFrame(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		reply, err := answer(k, what, message)
		status := byte(0)
		if err != nil {
			status, reply = 1, []byte(err.Error())
		}
		if err := writeFrame(out, status, reply); err != nil {
			return err
		}
	}
}

func answer(k *keeper.Keeper, what byte, message []byte) ([]byte, error) {
	switch what {
	case 'k':
		key := k.Key()
		return key[:], nil
	case 'd':
		d, err := ledgerclient.Parse[ledgerclient.Deposit](message)
		if err != nil {
			return nil, err
		}
		receipts, err := k.Deposit(ctx, []ledgerclient.Deposit{d})
		if err != nil {
			return nil, err
		}
		return ledgerclient.Marshal(&receipts[0]), nil
	case 'r':
		r, err := ledgerclient.Parse[ledgerclient.Request](message)
		if err != nil {
			return nil, err
		}
		a, err := k.Release(ctx, r)
		if err != nil {
			return nil, err
		}
		return ledgerclient.Marshal(&a), nil
	}
	return nil, fmt.Errorf("what is %q", what)
}
