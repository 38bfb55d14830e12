package contract

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
)

var update = flag.Bool("update", false, "write the golden vectors anew")

const vectorsPath = "../../testdata/vectors/contract.json"

// vectors is the content of testdata/vectors/contract.json: one small ledger, in
// hexadecimal, with a name for every run of bytes.
type vectors struct {
	About    string          `json:"about"`
	Keys     []keyVector     `json:"keys"`
	Configs  []configVector  `json:"configurations"`
	Packages []packageVector `json:"packages"`
	LedgerID string          `json:"ledger_id"`
	Leaves   []leafVector    `json:"leaves"`
	Refused  []refusedVector `json:"refused"`
	Root     string          `json:"log_root"`
	Origin   string          `json:"checkpoint_origin"`
}

type keyVector struct {
	Name    string `json:"name"`
	Private string `json:"private"`
	Public  string `json:"public"`
}

type configVector struct {
	Document   string `json:"document"`
	Commitment string `json:"commitment"`
	Approve    string `json:"digest_to_approve,omitempty"`
}

type packageVector struct {
	Name       string  `json:"name"`
	Bytes      []field `json:"bytes"`
	Commitment string  `json:"commitment"`
}

type leafVector struct {
	About string   `json:"about"`
	Index int      `json:"index"`
	Bytes []field  `json:"bytes"` // of the leaf
	ID    string   `json:"entry_id"`
	Slots []string `json:"slots"` // of the state tree after this leaf
}

type refusedVector struct {
	About string `json:"about"`
	Hour  Hour   `json:"hour"`
	Entry string `json:"entry"`
	Rule  Rule   `json:"rule"`
}

// field is a run of bytes with its meaning: a name, a space, hexadecimal.
type field string

// annotate cuts bytes into named fields; the sizes must use them up.
func annotate(t *testing.T, b []byte, names []string, sizes ...int) (fields []field) {
	t.Helper()
	for i, name := range names {
		fields = append(fields, field(name+" "+hex.EncodeToString(b[:sizes[i]])))
		b = b[sizes[i]:]
	}
	if len(b) != 0 {
		t.Fatalf("%d bytes are not named", len(b))
	}
	return fields
}

var (
	leafFields = strings.Fields("ledger_hour version kind flags hours author counterparty subject self_tag not_before not_after commitment signature state_root")
	leafSizes  = []int{4, 1, 1, 1, 1, 33, 33, 32, 16, 4, 4, 32, 64, 32}
)

func buildVectors(t *testing.T) vectors {
	w := &world{referenceLog: newReferenceLog(testConfig(t, "City ledger", 1, "node-1", "node-2"), true), tb: t}
	v := vectors{
		About: "Golden vectors of ledgerclient/contract/SPEC.md, written by its tests with -update. " +
			"Fixed keys, for tests alone; signatures by RFC 6979. Bytes in hexadecimal, in order.",
		LedgerID: w.ledger.String(),
		Origin:   "carekey/v1/" + w.ledger.String(),
	}
	for _, name := range []string{"node-1", "node-2", "keeper", "owner", "patient", "clinic"} {
		k := testKey(t, name)
		private := k.ExposeSecret()
		v.Keys = append(v.Keys, keyVector{name, hex.EncodeToString(private[:]), k.Public().String()})
	}

	record := RecordPackage{Metadata: testHash("metadata blob"), ContentHead: testHash("content head"), ContentSize: 5 << 20}
	grant := GrantPackage{K: 1, N: 2, Terms: testHash("terms blob"), Envelope: testHash("envelope blob"), Lock: testHash("lock key"),
		Shares: []crypto.Hash{testHash("share 1"), testHash("share 2")}}
	blob := testHash("access blob")
	v.Packages = []packageVector{
		{"record", annotate(t, record.Marshal(), strings.Fields("metadata content_head content_size"), 32, 32, 8), record.Commitment().String()},
		{"grant", annotate(t, grant.Marshal(), strings.Fields("k n terms envelope lock share_1 share_2"), 1, 1, 32, 32, 32, 32, 32), grant.Commitment().String()},
		{"access", annotate(t, blob[:], []string{"blob"}, 32), AccessCommitment(blob).String()},
	}

	add := func(about string, h Hour, e Entry, key string, document []byte) {
		t.Helper()
		tag := testHash("self-tag " + about)
		copy(e.SelfTag[:], tag[:])
		if e.Kind == KindConfig {
			e.SelfTag = crypto.SelfTag{}
		}
		w.must(w.putAt(h, e, key, document))
		i := len(w.leaves) - 1
		b := w.leaves[i].Marshal()
		lv := leafVector{About: about, Index: i, Bytes: annotate(t, b[:], leafFields, leafSizes...), ID: w.leaves[i].Entry.ID(w.ledger).String()}
		for _, s := range w.states {
			lv.Slots = append(lv.Slots, hex.EncodeToString(s.Slot()))
		}
		v.Leaves = append(v.Leaves, lv)
	}
	refuse := func(about string, h Hour, e Entry, key string) {
		t.Helper()
		e = w.signed(e, key)
		b := e.Marshal()
		_, err := w.submit(e, h, nil)
		v.Refused = append(v.Refused, refusedVector{about, h, hex.EncodeToString(b[:]), ruleOf(t, err)})
	}
	const monday = 490_000
	followUp := func(k Kind, subject ID, h Hour) Entry {
		nb, na := Acceptance(h)
		return Entry{Kind: k, Subject: subject, NotBefore: nb, NotAfter: na}
	}

	genesis := w.config
	v.Configs = append(v.Configs, configVector{string(genesis.Marshal()), genesis.Commitment().String(), ""})
	add("the ledger opens", monday, w.genesis(), "node-1", genesis.Marshal())
	add("a record", monday, Entry{Kind: KindRecord, Commitment: record.Commitment()}, "owner", nil)
	w.record = w.leaves[1].Entry.ID(w.ledger)
	e := w.grantEntry(0, monday+30*24)
	e.Commitment = grant.Commitment()
	add("a consent for thirty days", monday+1, e, "patient", nil)
	w.grant = w.leaves[2].Entry.ID(w.ledger)
	e = followUp(KindAccess, w.grant, monday+2)
	e.Commitment = AccessCommitment(blob)
	add("an access", monday+2, e, "clinic", nil)
	refuse("a second access in the hour", monday+2, followUp(KindAccess, w.grant, monday+2), "clinic")
	e = followUp(KindRecord, w.record, monday+3)
	e.Commitment = record.Commitment()
	add("a second version of the record", monday+3, e, "owner", nil)
	next := genesis
	next.Name, next.Previous = "Εθνικό ledger", genesis.Commitment()
	next.Approve(testKey(t, "node-2"))
	v.Configs = append(v.Configs, configVector{string(next.Marshal()), next.Commitment().String(), next.ApprovalDigest().String()})
	e = followUp(KindConfig, w.leaves[0].Entry.ID(w.ledger), monday+4)
	e.Commitment = next.Commitment()
	add("another configuration", monday+4, e, "node-1", next.Marshal())
	refuse("a revocation by the recipient", monday+5, Entry{Kind: KindRevoke, Subject: w.grant, NotAfter: Forever}, "clinic")
	add("the consent is revoked", monday+5, Entry{Kind: KindRevoke, Subject: w.grant, NotAfter: Forever, Commitment: testHash("random 1")}, "patient", nil)
	refuse("an access after the revocation", monday+5, followUp(KindAccess, w.grant, monday+5), "clinic")
	e = followUp(KindRecord, w.record, monday+6)
	e.Flags, e.Commitment = FlagWithdrawn, testHash("random 2")
	add("the record is withdrawn", monday+6, e, "owner", nil)
	refuse("a version after the withdrawal", monday+7, followUp(KindRecord, w.record, monday+7), "owner")
	v.Root = w.root().String()
	return v
}

func TestVectors(t *testing.T) {
	got, err := json.MarshalIndent(buildVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(vectorsPath, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("line %d of %s:\ngot  %s\nwant %s", i+1, vectorsPath, g[i], w[i])
		}
	}
	t.Fatalf("%s has %d lines, want %d", vectorsPath, len(w), len(g))
}

// The same vectors the other way round: everything is read from the file, and
// judged again.
func TestVectorsReplay(t *testing.T) {
	data, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Leaves) < 8 || len(v.Refused) < 4 {
		t.Fatalf("%d leaves, %d refused", len(v.Leaves), len(v.Refused))
	}
	genesis, err := ParseConfig([]byte(v.Configs[0].Document))
	if err != nil {
		t.Fatal(err)
	}
	if genesis.LedgerID().String() != v.LedgerID {
		t.Errorf("ledger id %v", genesis.LedgerID())
	}
	documents := v.Configs
	l := newReferenceLog(genesis, true)
	for _, lv := range v.Leaves {
		var b []byte
		for _, f := range lv.Bytes {
			_, digits, _ := strings.Cut(string(f), " ")
			b, err = hex.AppendDecode(b, []byte(digits))
			if err != nil {
				t.Fatal(err)
			}
		}
		leaf, err := ParseLeaf(b)
		if err != nil {
			t.Fatal(err)
		}
		if id := leaf.Entry.ID(l.ledger).String(); id != lv.ID {
			t.Errorf("leaf %d: id %s", lv.Index, id)
		}
		var document []byte
		if leaf.Entry.Kind == KindConfig {
			document, documents = []byte(documents[0].Document), documents[1:]
		}
		if i, err := l.submit(leaf.Entry, leaf.Hour, document); err != nil || i != uint64(lv.Index) {
			t.Fatalf("leaf %d: %v", lv.Index, err)
		}
		if got := l.leaves[lv.Index]; got != leaf {
			t.Errorf("leaf %d: %+v", lv.Index, got)
		}
		for i, s := range lv.Slots {
			if got := hex.EncodeToString(l.states[i].Slot()); got != s {
				t.Errorf("leaf %d: slot %d is %s", lv.Index, i, got)
			}
		}
	}
	if l.root().String() != v.Root {
		t.Errorf("log root %v", l.root())
	}
}

// Every byte of one access, by hand.
func TestEntryBytes(t *testing.T) {
	ledger := crypto.LedgerID(testHash("ledger"))
	e := sign(t, ledger, Entry{
		Version: 1, Kind: KindAccess,
		Subject:   ID{0: 0xaa, 31: 0xbb},
		SelfTag:   crypto.SelfTag{0: 0xcc, 15: 0xdd},
		NotBefore: 0x01020304, NotAfter: 0x01020310,
		Commitment: crypto.Hash{0: 0xee, 31: 0xff},
	}, testKey(t, "clinic"))
	zeros := func(n int) string { return strings.Repeat("00", n) }
	want := "" +
		"01" + // version
		"05" + // kind: access
		"00" + // flags: none
		"00" + // hours: reserved
		"02e06a1b8e1f6bece7c70939be2775a633b8e4778974048f190fdb7619a3b8706f" + // author
		zeros(33) + // counterparty: none
		"aa" + zeros(30) + "bb" + // subject: id of the grant
		"cc" + zeros(14) + "dd" + // self-tag
		"01020304" + // not before this hour
		"01020310" + // not at or after this hour
		"ee" + zeros(30) + "ff" // commitment
	b := e.Marshal()
	if got := hex.EncodeToString(b[:UnsignedSize]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !bytes.Equal(b[UnsignedSize:], e.Signature[:]) {
		t.Error("the last 64 bytes are not the signature")
	}
	if err := CheckShape(&e); err != nil {
		t.Error(err)
	}
	if err := CheckSignature(ledger, &e); err != nil {
		t.Error(err)
	}
}
