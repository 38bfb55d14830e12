package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

func fill(b []byte, with byte) {
	for i := range b {
		b[i] = with + byte(i)
	}
}

func sampleEntry(with byte) contract.Entry {
	b := make([]byte, contract.Size)
	fill(b, with)
	e, err := contract.ParseEntry(b)
	if err != nil {
		panic(err)
	}
	return e
}

func samplePut(part ledgerclient.Part, locators int) ledgerclient.Put {
	p := ledgerclient.Put{Entry: sampleEntry(byte(part)), Part: part, Package: []byte("package"), Blob: []byte("salt and body")}
	for i := range locators {
		var loc crypto.Locator
		fill(loc[:], byte(i))
		p.Locators = append(p.Locators, loc)
	}
	return p
}

func sampleShare() crypto.Share {
	raw := make([]byte, 33)
	fill(raw, 1)
	s, err := crypto.ParseShare(raw)
	if err != nil {
		panic(err)
	}
	return s
}

// sample is one encoding: sample bytes and a parser that encodes again.
type sample struct {
	name  string
	bytes []byte
	parse func([]byte) ([]byte, error)
	open  bool // any bytes behind it may be part of it
}

func codecs() []sample {
	outcomes := []ledgerclient.Outcome{
		{ID: contract.ID{1}, Index: 17, Hour: 480_000},
		{ID: contract.ID{2}, Index: 3, Hour: 470_000, Duplicate: true},
		{ID: contract.ID{3}, Hour: 480_000, Refusal: &contract.Refusal{Rule: contract.RuleExpired, Entry: contract.ID{3}, Hour: 480_000}},
	}
	puts := []ledgerclient.Put{samplePut(ledgerclient.PartTerms, 2), samplePut(ledgerclient.PartAccess, 1)}
	puts[1].Package = nil
	part := of("upload part", UploadPartForm, UploadPart{Upload: UploadID{7}, Offset: 1 << 20, Data: []byte("data")})
	part.open = true
	commit := UploadCommit{Upload: UploadID{7}, Put: samplePut(ledgerclient.PartContent, 2)}
	commit.Put.Blob = nil
	deposits := []ledgerclient.Deposit{{Grant: contract.ID{1}, Share: sampleShare(), Package: []byte("p")}, {Grant: contract.ID{2}, Share: sampleShare()}}
	leaves := []contract.Leaf{{Hour: 1, Entry: sampleEntry(1)}, {Hour: 2, Entry: sampleEntry(2)}}
	ordered := Ordered{Outcomes: outcomes, News: News{Note: []byte("a checkpoint"), Leaves: leaves}}
	begun := UploadBegun{Upload: UploadID{7}, Most: 1 << 34}
	return []sample{
		of("batch of entries", EntriesForm, []contract.Entry{sampleEntry(1), sampleEntry(2)}),
		of("answer to a batch", OrderedForm(3), ordered),
		of("news", NewsForm, ordered.News),
		of("withdrawn tokens", WithdrawnForm, []Withdrawn{{Giver: sampleEntry(3).Author, Number: 7, Keys: []crypto.PubKey{sampleEntry(1).Author, sampleEntry(2).Author}, Signature: sampleEntry(4).Signature}, {}}),
		of("sites", SitesForm, []Site{{Member: Member{Name: "City", Node: contract.Node{Checkpoint: [32]byte{1}, Key: sampleEntry(1).Author}, Keeper: sampleEntry(2).Author,
			URLs: []string{"https://city.example", "https://10.0.0.1:8443"}, Fingerprint: crypto.Hash{9}}, Number: 7, ByNode: sampleEntry(3).Signature, ByKeeper: sampleEntry(4).Signature},
			{Member: Member{Name: "Lake", URLs: []string{"https://lake.example"}}}}),
		of("begun upload", UploadBegunForm, begun),
		of("configs", ConfigsForm, [][]byte{[]byte("one"), []byte("two")}),
		{"entry bundle", EntryBundle(leafBytes(leaves)), func(b []byte) ([]byte, error) {
			v, err := ParseEntryBundle(b, 2)
			return EntryBundle(leafBytes(v)), err
		}, false},
		of("puts", PutsForm, puts),
		part,
		of("upload commit", UploadCommitForm, commit),
		of("deposits", DepositsForm, deposits),
		of("receipts", ReceiptsForm, []Reply[ledgerclient.Receipt]{{Said: ledgerclient.Receipt{Grant: contract.ID{1}, Index: 1}}, {Code: ledgerclient.Revoked}}),
		of("acknowledgements", AcknowledgementsForm, []Reply[ledgerclient.Acknowledgement]{
			{Code: ledgerclient.WrongKey}, {Said: ledgerclient.Acknowledgement{Grant: contract.ID{1}, End: ledgerclient.Stopped}},
		}),
		of("bulk request", BulkForm, []Question{{AskPayload, make([]byte, 32)}, {AskState, make([]byte, 193)}, {AskRelease, make([]byte, 384)}, {AskInquiry, make([]byte, 193)}}),
		of("answer to a bulk request", SaidForm(3), []Said{{SaidAnswer, []byte("answer")}, {SaidAgain, nil}, {SaidProblem, []byte("problem")}}),
		of("beginning of a payload", BeginningForm, Beginning{Size: 14, Bytes: []byte("salt and body?")}),
		of("request of a node", CopyRequestForm, CopyRequest{Ledger: crypto.LedgerID{1}, Asked: [32]byte{2}, Node: sampleEntry(1).Author, Time: 1_795_000_000,
			Of: ledgerclient.PartOf{Entry: contract.ID{3}, Part: ledgerclient.PartContent}, Signature: sampleEntry(2).Signature}),
		of("keeper state", KeeperStateForm, ledgerclient.KeeperState{Grant: contract.ID{1}, Held: true, Ended: ledgerclient.Stopped}),
	}
}

// of is the sample of a value.
func of[T any](name string, form Form[T], v T) sample {
	return sample{name, form.Marshal(v), func(b []byte) ([]byte, error) {
		v, err := form.Parse(b)
		if err != nil {
			return nil, err
		}
		return form.Marshal(v), nil
	}, false}
}

// What parses re-encodes identically; what is cut off or has bytes behind it does
// not parse.
func TestWire(t *testing.T) {
	for _, c := range codecs() {
		again, err := c.parse(c.bytes)
		if err != nil || !bytes.Equal(again, c.bytes) {
			t.Errorf("%s: %v, re-encodes as %x", c.name, err, again)
		}
		for n := range c.bytes {
			// Cut at an item's end it is a shorter batch, but never the same value.
			if again, err := c.parse(c.bytes[:n]); err == nil && !bytes.Equal(again, c.bytes[:n]) {
				t.Errorf("%s with %d of %d bytes parses and re-encodes otherwise", c.name, n, len(c.bytes))
			} else if err != nil {
				if !errors.Is(err, ledgerclient.ErrMessage) {
					t.Errorf("%s: %T", c.name, err)
				}
			}
		}
		if _, err := c.parse(append(bytes.Clone(c.bytes), 0)); err == nil && !c.open {
			t.Errorf("%s parses with a byte behind it", c.name)
		}
		for i := range c.bytes {
			b := bytes.Clone(c.bytes)
			b[i] ^= 0x80
			if again, err := c.parse(b); err == nil && !bytes.Equal(again, b) {
				t.Errorf("%s with byte %d changed parses and re-encodes otherwise", c.name, i)
			}
		}
	}
}

func TestWireLimits(t *testing.T) {
	for name, err := range map[string]error{
		"no entries":       second(EntriesForm.Parse(nil)),
		"too many entries": second(EntriesForm.Parse(make([]byte, (MaxEntries+1)*contract.Size))),
		"no puts":          second(PutsForm.Parse(nil)),
		"no locators":      second(PutsForm.Parse(PutsForm.Marshal([]ledgerclient.Put{samplePut(ledgerclient.PartTerms, 0)}))),
		"three locators":   second(PutsForm.Parse(PutsForm.Marshal([]ledgerclient.Put{samplePut(ledgerclient.PartTerms, 3)}))),
		"part 0":           second(PutsForm.Parse(PutsForm.Marshal([]ledgerclient.Put{samplePut(0, 1)}))),
		"part 6":           second(PutsForm.Parse(PutsForm.Marshal([]ledgerclient.Put{samplePut(6, 1)}))),
		"no deposits":      second(DepositsForm.Parse(nil)),
		"empty part":       second(UploadPartForm.Parse(UploadPartForm.Marshal(UploadPart{}))),
		"large part":       second(UploadPartForm.Parse(UploadPartForm.Marshal(UploadPart{Data: make([]byte, MaxPart+1)}))),
		"part far behind":  second(UploadPartForm.Parse(UploadPartForm.Marshal(UploadPart{Offset: 1 << 41, Data: []byte{1}}))),
		"empty document":   second(ConfigsForm.Parse(ConfigsForm.Marshal([][]byte{{}}))),
		"no width":         second(ParseEntryBundle(nil, 0)),
		"too wide":         second(ParseEntryBundle(make([]byte, 257*260), 257)),
		"upload":           second(UploadIDForm.Parse(make([]byte, 31))),
		"no questions":     second(BulkForm.Parse(nil)),
		"too many of them": second(BulkForm.Parse(BulkForm.Marshal(slices.Repeat([]Question{{AskPayload, make([]byte, 32)}}, ledgerclient.MaxBulk+1)))),
		"unknown question": second(BulkForm.Parse(BulkForm.Marshal([]Question{{5, make([]byte, 32)}}))),
		"short question":   second(BulkForm.Parse(BulkForm.Marshal([]Question{{AskRelease, make([]byte, 383)}}))),
		"answer too few":   second(SaidForm(2).Parse(SaidForm(1).Marshal([]Said{{SaidAnswer, []byte("one")}}))),
		"answer too many":  second(SaidForm(1).Parse(SaidForm(2).Marshal([]Said{{SaidAgain, nil}, {SaidAgain, nil}}))),
		"empty answer":     second(SaidForm(1).Parse(SaidForm(1).Marshal([]Said{{SaidAnswer, nil}}))),
		"answer too long":  second(SaidForm(1).Parse(SaidForm(1).Marshal([]Said{{SaidAnswer, make([]byte, MaxInquiry+1)}}))),
		"payload too long": second(BeginningForm.Parse(BeginningForm.Marshal(Beginning{1 << 20, make([]byte, ledgerclient.FirstBytes+1)}))),
		"payload cut off":  second(BeginningForm.Parse(BeginningForm.Marshal(Beginning{1 << 20, make([]byte, ledgerclient.FirstBytes-1)}))),
		"commit of terms":  second(UploadCommitForm.Parse(UploadCommitForm.Marshal(UploadCommit{Put: samplePut(ledgerclient.PartTerms, 1)}))),
	} {
		if !errors.Is(err, ledgerclient.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The paths of C2SP tlog-tiles.
func TestTilePaths(t *testing.T) {
	for path, want := range map[string]struct {
		tile   tlog.Tile
		leaves uint64
	}{
		"0/000":                 {tlog.Tile{H: 8, L: 0, N: 0, W: 256}, 256},
		"0/x001/x234/067.p/1":   {tlog.Tile{H: 8, L: 0, N: 1234067, W: 1}, 1234067*256 + 1},
		"1/000.p/17":            {tlog.Tile{H: 8, L: 1, N: 0, W: 17}, 17 * 256},
		"2/001":                 {tlog.Tile{H: 8, L: 2, N: 1, W: 256}, 512 << 16},
		"entries/000.p/112":     {tlog.Tile{H: 8, L: -1, N: 0, W: 112}, 112},
		"entries/x001/x234/067": {tlog.Tile{H: 8, L: -1, N: 1234067, W: 256}, 1234068 * 256},
	} {
		got, err := ParseTilePath(path)
		if err != nil || got != want.tile {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
		if s := TilePath(want.tile); s != PathTile+path {
			t.Errorf("%s is written %s", path, s)
		}
		if n, ok := TileLeaves(got); n != want.leaves || !ok {
			t.Errorf("%s needs %d leaves", path, n)
		}
	}
	for _, path := range []string{
		"", "0", "0/", "00/000", "0/0", "0/1", "0/x001/067.p", "0/000.p/0", "0/000.p/256", "0/000.p/01", "64/000", "-1/000",
		"data/000", "entries", "entries/0", "entries/../000", "0/x000/001", "8/0/000", "0/000/", "0/000.p/1/", "0/000?", "0/000.p/1.p/1",
	} {
		if got, err := ParseTilePath(path); err == nil {
			t.Errorf("%q parses as %+v", path, got)
		}
	}
	for _, tile := range []tlog.Tile{{H: 8, L: 63, W: 256}, {H: 8, L: 7, N: 1 << 40, W: 1}} {
		if n, ok := TileLeaves(tile); ok {
			t.Errorf("%+v needs %d leaves", tile, n)
		}
	}
}

// sampleRefusals are errors of all kinds.
func sampleRefusals() []error {
	all := []error{
		&RefusedError{Kind: KindTooLarge, Limit: 5},
		&RefusedError{Kind: KindNoVersion, Versions: []int{1, 2}},
		&ledgerclient.NotFoundError{What: "payload"},
		&ledgerclient.StoreError{Entry: crypto.Hash{1}, Part: ledgerclient.PartTerms, Reason: ledgerclient.BadPackage},
		&ledgerclient.StoreError{Entry: crypto.Hash{1}, Reason: ledgerclient.NotWithdrawn},
		&ledgerclient.KeeperError{Grant: crypto.Hash{1}, Code: ledgerclient.WrongKey},
		&ledgerclient.RangeError{From: 1, To: 2, Size: 3},
	}
	have := map[Kind]bool{}
	for _, err := range all {
		have[ProblemOf(err).Kind] = true
	}
	for k := range problems {
		if !have[k] {
			all = append(all, &RefusedError{Kind: k, RetryAfter: 3})
		}
	}
	for _, reason := range ledgerclient.StoreReasons {
		all = append(all, &ledgerclient.StoreError{Part: ledgerclient.PartContent, Reason: reason})
	}
	return all
}

func document(p Problem) []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return b
}

// Every problem survives its document, and the error that a client makes of it
// gives the same problem again: the mapping is one to one.
func TestProblems(t *testing.T) {
	for _, why := range sampleRefusals() {
		p := ProblemOf(why)
		got, err := ParseProblem(document(p))
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: %+v, %v", document(p), got, err)
		}
		if p.Status < 400 || p.Title == "" {
			t.Errorf("%s: status %d", p.Kind, p.Status)
		}
		e := got.Err("store")
		if again := ProblemOf(fmt.Errorf("while at it: %w", e)); !reflect.DeepEqual(again, p) {
			t.Errorf("%s becomes %v and then %+v", p.Kind, e, again)
		}
		if e.Error() == "" {
			t.Errorf("%s: no words", p.Kind)
		}
	}
	for _, s := range []string{
		"", "null", "[]", `{}`, `{"type":"about:blank","status":404}`, `{"type":"urn:carekey:problem:busy","status":200}`,
		`{"type":"urn:carekey:problem:nonsense","status":400}`, `{"type":"urn:carekey:problem:busy","status":503,"retry_after":-1}`,
		`{"type":"urn:carekey:problem:busy","status":503,"retry_after":100000000}`,
		`{"type":"urn:carekey:problem:not-found","status":404,"not_found":{"what":"A\u001b[31m"}}`, `{"type":"urn:carekey:problem:range","status":409}`,
		`{"type":"urn:carekey:problem:keeper","status":403,"keeper":{"grant":"` + strings.Repeat("0", 64) + `","code":0}}`,
		`{"type":"urn:carekey:problem:store","status":422,"store":{"entry":"` + strings.Repeat("0", 64) + `","reason":"odd"}}`,
		`{"type":"urn:carekey:problem:store","status":422,"store":{"entry":"` + strings.Repeat("0", 64) + `","part":6,"reason":"entry"}}`,
		`{"type":"urn:carekey:problem:failed","status":500,"title":"` + strings.Repeat("x", MaxProblem) + `"}`,
	} {
		if p, err := ParseProblem([]byte(s)); err == nil {
			t.Errorf("%.80s parses as %+v", s, p)
		}
	}
	if p := ProblemOf(errors.New("anything")); p.Kind != KindFailed {
		t.Errorf("%+v", p)
	}
}

func TestValidToken(t *testing.T) {
	for s, ok := range map[string]bool{
		"": false, "short": false, "abcdefghijklmnop": true, "abcdefghijklmno p": false, "abcdefghijklmnop\n": false,
		strings.Repeat("a", MaxToken): true, strings.Repeat("a", MaxToken+1): false, "abcdefghijklmn-_.~": true, "abcdefghijklmnopé": false,
	} {
		if ValidToken(s) != ok {
			t.Errorf("%q: %v", s, !ok)
		}
	}
}

// What a keeper refuses in a batch arrives as what it was.
func TestReplies(t *testing.T) {
	grants := []contract.ID{{1}, {2}, {3}}
	acks := []ledgerclient.Acknowledgement{{Grant: grants[0]}, {}, {Grant: grants[2]}}
	refused := &ledgerclient.BatchError{Errs: []error{nil, &ledgerclient.KeeperError{Grant: grants[1], Code: ledgerclient.Revoked}, nil}}
	for _, want := range []error{nil, refused} {
		replies, err := Replies(acks, want)
		if err != nil {
			t.Fatal(err)
		}
		said, got := take(grants, replies)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(said, acks) {
			t.Errorf("%v, %v", said, got)
		}
	}
	if _, err := Replies(acks, errors.New("another")); err == nil {
		t.Error("another error is taken for refusals")
	}
	if _, err := Replies(acks[:2], error(refused)); err == nil {
		t.Error("refusals of another batch are taken")
	}
}

func fuzzWire(f *testing.F, name string) {
	for _, c := range codecs() {
		if c.name != name {
			continue
		}
		f.Add(c.bytes)
		f.Add(c.bytes[:len(c.bytes)-1])
		f.Fuzz(func(t *testing.T, b []byte) {
			if again, err := c.parse(b); err == nil && !bytes.Equal(again, b) {
				t.Errorf("%x parses and re-encodes as %x", b, again)
			}
		})
		return
	}
	f.Fatal("no such encoding")
}

func FuzzEntries(f *testing.F)          { fuzzWire(f, "batch of entries") }
func FuzzOrdered(f *testing.F)          { fuzzWire(f, "answer to a batch") }
func FuzzNews(f *testing.F)             { fuzzWire(f, "news") }
func FuzzWithdrawn(f *testing.F)        { fuzzWire(f, "withdrawn tokens") }
func FuzzSites(f *testing.F)            { fuzzWire(f, "sites") }
func FuzzCopyRequest(f *testing.F)      { fuzzWire(f, "request of a node") }
func FuzzConfigs(f *testing.F)          { fuzzWire(f, "configs") }
func FuzzEntryBundle(f *testing.F)      { fuzzWire(f, "entry bundle") }
func FuzzPuts(f *testing.F)             { fuzzWire(f, "puts") }
func FuzzUploadPart(f *testing.F)       { fuzzWire(f, "upload part") }
func FuzzUploadCommit(f *testing.F)     { fuzzWire(f, "upload commit") }
func FuzzDeposits(f *testing.F)         { fuzzWire(f, "deposits") }
func FuzzReceipts(f *testing.F)         { fuzzWire(f, "receipts") }
func FuzzAcknowledgements(f *testing.F) { fuzzWire(f, "acknowledgements") }
func FuzzKeeperState(f *testing.F)      { fuzzWire(f, "keeper state") }
func FuzzBulk(f *testing.F)             { fuzzWire(f, "bulk request") }
func FuzzSaid(f *testing.F)             { fuzzWire(f, "answer to a bulk request") }
func FuzzBeginning(f *testing.F)        { fuzzWire(f, "beginning of a payload") }

func FuzzTilePath(f *testing.F) {
	f.Add("0/x001/x234/067.p/1")
	f.Add("entries/000")
	f.Fuzz(func(t *testing.T, s string) {
		if tile, err := ParseTilePath(s); err == nil {
			if again := TilePath(tile); again != PathTile+s {
				t.Errorf("%q parses and is written %q", s, again)
			}
			TileLeaves(tile)
		}
	})
}

func FuzzProblem(f *testing.F) {
	for _, why := range sampleRefusals() {
		f.Add(document(ProblemOf(why)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProblem(b)
		if err != nil {
			return
		}
		if again, err := ParseProblem(document(p)); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q: %+v is read again as %+v, %v", b, p, again, err)
		}
		_ = p.Err("ledger").Error()
	})
}

func leafBytes(leaves []contract.Leaf) (b []byte) {
	for i := range leaves {
		leaf := leaves[i].Marshal()
		b = append(b, leaf[:]...)
	}
	return b
}
