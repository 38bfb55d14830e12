package folder

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// people are a patient and a clinic with everything that a wallet would do for
// them, written out.
type people struct {
	t      testing.TB
	ledger crypto.LedgerID
	root   crypto.Root
	clinic *crypto.Identity
}

func newPeople(t testing.TB, ledger crypto.LedgerID) *people {
	return &people{t: t, ledger: ledger, root: crypto.NewEntropy().Root(), clinic: crypto.NewEntropy().Root().Identity()}
}

// given is one grant with all that was made for it.
type given struct {
	entry   contract.Entry
	id      contract.ID
	key     *crypto.PrivateKey
	seed    crypto.Seed
	offsets *crypto.Offsets
	oneTime *crypto.OneTimeKeys // the clinic's
	pkg     contract.GrantPackage
	shares  []crypto.Share
	secret  []byte // what the envelope says
	puts    []ledgerclient.Put
}

// stateAt is what the folder's keeper tells the patient of the grant. One that is not
// on the ledger has no share.
func (g *given) stateAt(f *Folder) (ledgerclient.KeeperState, error) {
	q := ledgerclient.Inquiry{Ledger: f.id, Keeper: f.keeper.Key(), Grant: g.id}
	q.SignState(g.key)
	s, err := f.keeper.State(ctx, q)
	if e, ok := errors.AsType[*ledgerclient.KeeperError](err); ok && e.Code == ledgerclient.UnknownGrant {
		return ledgerclient.KeeperState{Grant: g.id}, nil
	}
	return s, err
}

func (p *people) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *people) sign(e contract.Entry, key *crypto.PrivateKey) contract.Entry {
	p.t.Helper()
	e.Version, e.Author = contract.Version, key.Public()
	rand.Read(e.SelfTag[:])
	if e.Commitment.IsZero() {
		rand.Read(e.Commitment[:])
	}
	p.must(e.Sign(p.ledger, key))
	return e
}

func (p *people) grant() *given { return p.grantUntil(testHour + 24*30) }

func (p *people) grantUntil(end contract.Hour) *given {
	p.t.Helper()
	g := &given{seed: p.root.Seed(p.ledger, crypto.NewNonce()), secret: []byte("file keys of " + hex.EncodeToString(noise(12)))}
	g.key = g.seed.Key()
	a := g.key.Public()
	var err error
	g.offsets, err = crypto.NewOffsets(p.ledger, g.key, p.clinic.Address())
	p.must(err)
	seal := func(kind ledgerclient.Part, plain []byte) []byte {
		b, err := crypto.SealPayload(crypto.SealContext{Ledger: p.ledger, Part: byte(kind), Author: a}, plain, 0, g.offsets.Seal, p.root.SelfKey().Public())
		p.must(err)
		return b
	}
	terms := crypto.Blob(crypto.NewSalt(), seal(ledgerclient.PartTerms, []byte("terms")))
	k := g.seed.LockKey()
	envelope := crypto.Blob(crypto.NewSalt(), k.Lock(p.ledger, a, seal(ledgerclient.PartEnvelope, g.secret)))
	g.shares, err = g.seed.Shares(1, 1)
	p.must(err)
	g.pkg = contract.GrantPackage{
		K: 1, N: 1, Terms: crypto.BlobHash(terms), Envelope: crypto.BlobHash(envelope),
		Lock: k.Hash(p.ledger, a), Shares: []crypto.Hash{g.shares[0].Hash(p.ledger, a)},
	}
	g.entry = p.sign(contract.Entry{Kind: contract.KindGrant, Counterparty: g.offsets.Sig, NotAfter: end, Commitment: g.pkg.Commitment()}, g.key)
	g.id = g.entry.ID(p.ledger)
	put := func(part ledgerclient.Part, blob []byte) ledgerclient.Put {
		return ledgerclient.Put{Entry: g.entry, Package: g.pkg.Marshal(), Part: part, Blob: blob, Locators: []crypto.Locator{
			g.seed.Locator(g.id, byte(part)), g.offsets.Locator(g.id, byte(part)),
		}}
	}
	g.puts = []ledgerclient.Put{put(ledgerclient.PartTerms, terms), put(ledgerclient.PartEnvelope, envelope)}
	var ok bool
	g.oneTime, ok, err = p.clinic.Recognize(p.ledger, a, g.entry.Counterparty)
	p.must(err)
	if !ok {
		p.t.Fatal("the clinic does not recognize its grant")
	}
	return g
}

func (p *people) deposit(g *given, keeper crypto.PubKey) ledgerclient.Deposit {
	d := ledgerclient.Deposit{Ledger: p.ledger, Grant: g.id, Keeper: keeper, Share: g.shares[0], Package: g.pkg.Marshal()}
	ledgerclient.Sign(&d, g.key)
	return d
}

func (p *people) revocation(g *given) contract.Entry {
	return p.sign(contract.Entry{Kind: contract.KindRevoke, Subject: g.id, NotAfter: 1<<32 - 1}, g.key)
}

// access makes an access of the clinic with its payload.
func (p *people) access(g *given, hour contract.Hour) (contract.Entry, ledgerclient.Put) {
	p.t.Helper()
	sealed, err := crypto.SealPayload(crypto.SealContext{Ledger: p.ledger, Part: byte(ledgerclient.PartAccess), Author: g.oneTime.Sig}, []byte("reason"), 0, g.entry.Author)
	p.must(err)
	blob := crypto.Blob(crypto.NewSalt(), sealed)
	e := contract.Entry{
		Version: contract.Version, Kind: contract.KindAccess, Author: g.oneTime.Sig, Subject: g.id,
		NotBefore: hour - 1, NotAfter: hour + 48, Commitment: contract.AccessCommitment(crypto.BlobHash(blob)),
	}
	rand.Read(e.SelfTag[:])
	e.Signature = g.oneTime.Sign(e.ID(p.ledger))
	id := e.ID(p.ledger)
	return e, ledgerclient.Put{Entry: e, Part: ledgerclient.PartAccess, Blob: blob, Locators: []crypto.Locator{
		g.offsets.Locator(id, byte(ledgerclient.PartAccess)),
	}}
}

func (p *people) request(g *given, access contract.Entry, keeper crypto.PubKey) (ledgerclient.Request, *crypto.PrivateKey) {
	response := crypto.GenerateKey()
	r := ledgerclient.Request{Ledger: p.ledger, Keeper: keeper, Access: access, Response: response.Public()}
	ledgerclient.Sign(&r, g.oneTime)
	return r, response
}

// version is one version of a record with its payloads.
type version struct {
	entry   contract.Entry
	id      contract.ID
	key     *crypto.PrivateKey
	content []byte
	upload  ledgerclient.Put // of the content
	put     ledgerclient.Put // of the metadata
}

// record makes a new record with a content of that size, or a further version of
// one.
func (p *people) record(size int, of *version) *version {
	p.t.Helper()
	seed := p.root.Seed(p.ledger, crypto.NewNonce())
	v := &version{content: make([]byte, size), key: seed.Key()}
	rand.Read(v.content)
	metadata := crypto.Blob(crypto.NewSalt(), []byte("sealed metadata "+hex.EncodeToString(noise(12))))
	pkg := contract.RecordPackage{Metadata: crypto.BlobHash(metadata), ContentHead: headOf(v.content), ContentSize: uint64(size)}
	e := contract.Entry{Kind: contract.KindRecord, Commitment: pkg.Commitment()}
	if of != nil {
		v.key = of.key
		e.Subject, e.NotBefore, e.NotAfter = of.id, testHour-1, testHour+48
	}
	v.entry = p.sign(e, v.key)
	v.id = v.entry.ID(p.ledger)
	v.upload = ledgerclient.Put{Entry: v.entry, Package: pkg.Marshal(), Part: ledgerclient.PartContent, Locators: []crypto.Locator{seed.ContentLocator()}}
	v.put = ledgerclient.Put{Entry: v.entry, Package: pkg.Marshal(), Part: ledgerclient.PartMetadata, Blob: metadata, Locators: []crypto.Locator{
		seed.Locator(v.id, byte(ledgerclient.PartMetadata)),
	}}
	return v
}

func (p *people) withdrawal(v *version) contract.Entry {
	return p.sign(contract.Entry{Kind: contract.KindRecord, Flags: contract.FlagWithdrawn, Subject: v.id, NotBefore: testHour - 1, NotAfter: testHour + 48}, v.key)
}

// headOf is the tree head over a content's pieces, by the definition.
func headOf(content []byte) crypto.Hash {
	n := (len(content) + contract.PieceSize - 1) / contract.PieceSize
	h := treeHash(n, func(i int) []byte {
		return content[i*contract.PieceSize : min((i+1)*contract.PieceSize, len(content))]
	})
	return h
}

// uploaded puts a content into the store in uneven writes.
func uploaded(s ledgerclient.Store, v *version) error {
	u, err := s.Upload(ctx)
	if err != nil {
		return err
	}
	defer u.Abort()
	for b := v.content; len(b) > 0; {
		n := min(len(b), 70_001)
		if _, err := u.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return u.Commit(v.upload)
}

// addRecord stores and orders a version.
func (p *people) addRecord(f *Folder, v *version) {
	p.t.Helper()
	p.must(uploaded(f.store, v))
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{v.put}))
	mustAppend(p.t, f, []contract.Entry{v.entry})
}

// addGrant stores, orders and deposits a grant.
// addGrants adds grants as one batch, which makes packs of their payloads and
// shares.
func (p *people) addGrants(f *Folder, n int) []*given {
	p.t.Helper()
	var grants []*given
	var puts []ledgerclient.Put
	var entries []contract.Entry
	var deposits []ledgerclient.Deposit
	for range n {
		g := p.grant()
		grants = append(grants, g)
		puts = append(puts, g.puts...)
		entries = append(entries, g.entry)
		deposits = append(deposits, p.deposit(g, f.keeper.Key()))
	}
	p.must(f.store.PutBlobs(ctx, puts))
	mustAppend(p.t, f, entries)
	_, err := f.keeper.Deposit(ctx, deposits)
	p.must(err)
	return grants
}

func (p *people) addGrant(f *Folder, g *given) {
	p.t.Helper()
	p.must(f.store.PutBlobs(ctx, g.puts))
	mustAppend(p.t, f, []contract.Entry{g.entry})
	_, err := f.keeper.Deposit(ctx, []ledgerclient.Deposit{p.deposit(g, f.keeper.Key())})
	p.must(err)
}

// fetched reads a payload whole.
func fetched(t testing.TB, s ledgerclient.Store, loc crypto.Locator) ([]byte, error) {
	t.Helper()
	b, err := s.Blob(ctx, loc)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	data, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return data, nil
}

func (p *people) mustFetch(f *Folder, loc crypto.Locator, want []byte) {
	p.t.Helper()
	got, err := fetched(p.t, f.store, loc)
	if err != nil || !bytes.Equal(got, want) {
		p.t.Errorf("fetched %d bytes of %d, %v", len(got), len(want), err)
	}
}

// filesWith returns the files below dir that contain any 8 bytes in a row of
// secret at one of its multiples of 8.
func filesWith(t testing.TB, dir string, secret []byte) (found []string) {
	t.Helper()
	for name, data := range snapshotDir(t, dir) {
		for off := 0; off+8 <= len(secret); off += 8 {
			if strings.Contains(data, string(secret[off:off+8])) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

func listed(t testing.TB, elem ...string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(elem...))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
