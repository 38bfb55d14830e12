package folder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// TestEveryByte changes each byte in the folder of a small ledger. Verify, or
// already Open, must name the file and for a leaf the entry: of a changed hour, which no
// signature is over, the next entry if that is earlier, or none if it could be right.
func TestEveryByte(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock := newLedger(t)
	w := newWriter(t, f, 2)
	for range 6 {
		mustAppend(t, f, w.batch(3))
	}
	f.Close()
	dir := f.dir
	g, err := Open(dir, Options{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	verified := mustVerify(t, g).Mark
	g.Close()

	files := snapshotDir(t, dir)
	for _, name := range []string{genesisFile, leavesFile, checkpointFile, nodeKeyFile, entryKeyFile, keeperKeyFile} {
		if len(files[name]) == 0 {
			t.Fatalf("no %s", name)
		}
	}
	if files[lockFile] != "" {
		t.Error("the lock file has bytes")
	}
	flips := 0
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		read := len(content)
		switch name {
		case checkpointRoom: // is only written over
			continue
		case leavesFile:
			read = int(verified.Size) * contract.LeafSize
		case "keeper/filings/0000000001": // nothing is filed, behind it is room
			read = segmentHeader
		}
		for i := 0; i < read; i += lane.Pick(1, 27, 27) {
			// Every bit of what is text, where one bit may be spare, and of some
			// other bytes; one bit of the rest.
			bits := []int{i % 8}
			if name == checkpointFile || strings.HasPrefix(name, "keys/") || i%64 == 0 {
				bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
			}
			for _, bit := range bits {
				flips++
				changed := []byte(content)
				changed[i] ^= 1 << bit
				if err := os.WriteFile(path, changed, 0o600); err != nil {
					t.Fatal(err)
				}
				err := openAndVerify(dir, clock, verified)
				var damaged *DamagedError
				switch {
				case errors.As(err, &damaged) && damaged.File == name && (name != leavesFile || namesLeaf(damaged.Entry, i)):
				case name == formatFile && errors.Is(err, ErrFormat): // another version
				case err != nil:
					t.Fatalf("%s byte %d bit %d: %v", name, i, bit, err)
				default:
					t.Fatalf("%s byte %d bit %d: changed unseen", name, i, bit)
				}
				restore(t, path, files[name])
			}
		}
	}
	t.Logf("%d changes", flips)
}

// namesLeaf reports whether damage of byte i of the leaves may be said to be at that entry.
func namesLeaf(entry int64, i int) bool {
	n := int64(i / contract.LeafSize)
	ofHour := i%contract.LeafSize < 4
	return entry == n || ofHour && (entry == n+1 || entry == NoEntry)
}

func restore(t testing.TB, path, content string) {
	t.Helper()
	if now, err := os.ReadFile(path); err == nil && string(now) == content {
		return
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func openAndVerify(dir string, clock *testClock, known *Mark) error {
	f, err := open(dir, Options{Clock: clock.now}, unsyncedFiles{})
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Verify(ctx, known, nil)
	return err
}

// TestRearrangedFiles changes files as a whole.
func TestRearrangedFiles(t *testing.T) {
	f, clock := newLedger(t)
	w := newWriter(t, f, 2)
	mustAppend(t, f, w.batch(12))
	f.Close()
	other, _ := newLedger(t)
	mustAppend(t, other, newWriter(t, other, 2).batch(12))
	other.Close()
	foreign := snapshotDir(t, other.dir)
	const L = contract.LeafSize

	for _, c := range []struct {
		name, file string
		entry      int64
		change     func(files map[string]string) // "" removes
	}{
		{"leaves cut", leavesFile, 12, func(x map[string]string) { x[leavesFile] = x[leavesFile][:13*L-1] }},
		{"leaves gone", leavesFile, NoEntry, func(x map[string]string) { x[leavesFile] = "" }},
		{"a leaf dropped", leavesFile, 4, func(x map[string]string) { x[leavesFile] = x[leavesFile][:4*L] + x[leavesFile][5*L:] }},
		{"two leaves swapped", leavesFile, 4, func(x map[string]string) {
			s := x[leavesFile]
			x[leavesFile] = s[:4*L] + s[5*L:6*L] + s[4*L:5*L] + s[6*L:]
		}},
		{"a leaf twice", leavesFile, 5, func(x map[string]string) {
			s := x[leavesFile]
			x[leavesFile] = s[:5*L] + s[4*L:5*L] + s[6*L:]
		}},
		{"a leaf of another ledger", leavesFile, 4, func(x map[string]string) {
			s := x[leavesFile]
			x[leavesFile] = s[:4*L] + foreign[leavesFile][4*L:5*L] + s[5*L:]
		}},
		{"format gone", formatFile, NoEntry, func(x map[string]string) { x[formatFile] = "" }},
		{"genesis gone", genesisFile, NoEntry, func(x map[string]string) { x[genesisFile] = "" }},
		{"genesis of another ledger", genesisFile, NoEntry, func(x map[string]string) { x[genesisFile] = foreign[genesisFile] }},
		{"checkpoint gone", checkpointFile, NoEntry, func(x map[string]string) { x[checkpointFile] = "" }},
		{"checkpoint of another ledger", checkpointFile, NoEntry, func(x map[string]string) { x[checkpointFile] = foreign[checkpointFile] }},
		{"checkpoint with a line more", checkpointFile, NoEntry, func(x map[string]string) { x[checkpointFile] += "— x AAAAAAAA\n" }},
		{"checkpoint twice", checkpointFile, NoEntry, func(x map[string]string) { x[checkpointFile] += x[checkpointFile] }},
		{"node key gone", nodeKeyFile, NoEntry, func(x map[string]string) { x[nodeKeyFile] = "" }},
		{"node key of another ledger", nodeKeyFile, NoEntry, func(x map[string]string) { x[nodeKeyFile] = foreign[nodeKeyFile] }},
		{"entry key of another ledger", entryKeyFile, NoEntry, func(x map[string]string) { x[entryKeyFile] = foreign[entryKeyFile] }},
		{"keeper key of another ledger", keeperKeyFile, NoEntry, func(x map[string]string) { x[keeperKeyFile] = foreign[keeperKeyFile] }},
	} {
		dir := filepath.Join(t.TempDir(), "l")
		files := snapshotDir(t, f.dir)
		c.change(files)
		for name, content := range files {
			path := filepath.Join(dir, filepath.FromSlash(name))
			os.MkdirAll(filepath.Dir(path), 0o700)
			if content != "" || name == lockFile {
				restore(t, path, content)
			}
		}
		err := openAndVerify(dir, clock, nil)
		var damaged *DamagedError
		if !errors.As(err, &damaged) || damaged.File != c.file || damaged.Entry != c.entry {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTornLeaves: bytes behind the last leaf that counts are what a killed append
// left. Nobody reads them, and the next append writes over them.
func TestTornLeaves(t *testing.T) {
	f, clock := newLedger(t)
	w := newWriter(t, f, 2)
	mustAppend(t, f, w.batch(5))
	f.Close()
	leaves := f.path(leavesFile)
	b, _ := os.ReadFile(leaves)
	os.WriteFile(leaves, append(b, bytes.Repeat([]byte{7}, 1000)...), 0o600)
	g, err := Open(f.dir, Options{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	mustVerify(t, g)
	mustAppend(t, g, w.batch(1))
	mustVerify(t, g)
	if now, _ := os.ReadFile(leaves); bytes.Count(now[7*contract.LeafSize:], []byte{0}) < leavesRoom {
		t.Errorf("leaves has %d bytes, and no room", len(now))
	}
}

// dishonest writes a ledger whose operator signs what the contract refuses. edit
// changes the leaves; state roots are those of before unless it changes them.
func dishonest(t *testing.T, f *Folder, edit func(leaves []contract.Leaf) []contract.Leaf) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "dishonest")
	copyDir(t, f.dir, dir)
	leaves := edit(slices.Clone(modelOf(t, f).leaves))
	var raw []byte
	for i := range leaves {
		b := leaves[i].Marshal()
		raw = append(raw, b[:]...)
	}
	root := treeHash(len(leaves), func(i int) []byte { b := leaves[i].Marshal(); return b[:] })
	s, err := f.checkpointSigner()
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.checkpoint(uint64(len(leaves)), root)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{leavesFile: raw, checkpointFile: h.raw} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDishonestOperator: whoever holds the folder also holds the node's key, and
// can sign any log. Verify judges every leaf anew.
func TestDishonestOperator(t *testing.T) {
	f, clock := newLedger(t)
	w := newWriter(t, f, 2)
	mustAppend(t, f, []contract.Entry{w.grant(), w.record(), w.record()})
	access := w.sign(contract.Entry{Kind: contract.KindAccess, Subject: w.threads[0].id, NotBefore: w.hour, NotAfter: w.hour + 9}, w.threads[0].partner)
	mustAppend(t, f, []contract.Entry{access, w.record()})
	f.Close()
	f, err := Open(f.dir, Options{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	for _, c := range []struct {
		name  string
		entry int64
		edit  func(x []contract.Leaf) []contract.Leaf
	}{
		{"a forged signature", 2, func(x []contract.Leaf) []contract.Leaf { x[2].Entry.Signature[3] ^= 1; return x }},
		{"a high-s signature", 2, func(x []contract.Leaf) []contract.Leaf {
			x[2].Entry.Signature = crypto.Signature(highS(x[2].Entry.Signature))
			return x
		}},
		{"a wrong state root", 3, func(x []contract.Leaf) []contract.Leaf { x[3].StateRoot[0] ^= 1; return x }},
		{"an hour back", 3, func(x []contract.Leaf) []contract.Leaf { x[3].Hour--; return x }},
		{"the access left out", 4, func(x []contract.Leaf) []contract.Leaf { return append(x[:4], x[5]) }},
		{"the access of a stranger", 4, func(x []contract.Leaf) []contract.Leaf {
			e := access
			for _, k := range keys {
				if k.Public() != access.Author {
					x[4].Entry = w.sign(e, k)
				}
			}
			return x
		}},
		{"an access twice", 6, func(x []contract.Leaf) []contract.Leaf { return append(x, x[4]) }},
		{"a record twice", 6, func(x []contract.Leaf) []contract.Leaf { return append(x, x[2]) }},
		{"a record twice, with the state that would follow", 6, func(x []contract.Leaf) []contract.Leaf {
			all := newTables(f.id, f.tables.config, f.tables.leaves, 0)
			for i := range x {
				if err := all.replay(&x[i]); err != nil {
					t.Fatal(err)
				}
			}
			again, err := (&judgement{t: all}).next(&x[2].Entry, x[2].Entry.ID(f.id), x[5].Hour)
			if err != nil {
				t.Fatal(err)
			}
			all.extend(&again)
			leaf, err := all.leafOf(&again)
			if err != nil {
				t.Fatal(err)
			}
			return append(x, leaf)
		}},
		{"a shape that is refused", 2, func(x []contract.Leaf) []contract.Leaf { x[2].Entry.Hours = 1; return x }},
		{"another entry 0", 0, func(x []contract.Leaf) []contract.Leaf { x[0].Entry.Commitment[0] ^= 1; return x }},
	} {
		err := openAndVerify(dishonest(t, f, c.edit), clock, nil)
		var damaged *DamagedError
		if !errors.As(err, &damaged) || damaged.File != leavesFile || damaged.Entry != c.entry {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := openAndVerify(dishonest(t, f, func(x []contract.Leaf) []contract.Leaf { return x }), clock, nil); err != nil {
		t.Errorf("the same leaves: %v", err)
	}
}

// highS returns the other signature that plain ECDSA accepts: n − s.
func highS(sig crypto.Signature) [64]byte {
	n := [32]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
		0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41}
	out := [64]byte(sig)
	borrow := 0
	for i := 31; i >= 0; i-- {
		d := int(n[i]) - int(sig[32+i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		out[32+i] = byte(d)
	}
	return out
}

// Threat: a leaf is changed behind an open ledger. What that signs next is still over the
// leaf that was logged.
func TestChangedLeafIsNotSigned(t *testing.T) {
	for _, more := range []int{1, 300} { // also when a block of the log's tree gets whole
		for _, at := range []int{9*contract.LeafSize + 3, 9*contract.LeafSize + 60} {
			f, clock := newLedger(t)
			w := newWriter(t, f, 2)
			mustAppend(t, f, w.batch(20))
			change := func() {
				leaves := mustRead(t, f.path(leavesFile))
				leaves[at] ^= 1
				check(t, os.WriteFile(f.path(leavesFile), leaves, 0o600))
			}
			change()
			mustAppend(t, f, w.batch(more))
			if err := openAndVerify(f.dir, clock, nil); !errors.As(err, new(*DamagedError)) {
				t.Errorf("byte %d changed, %d entries later: %v", at, more, err)
			}
			change()
			check(t, openAndVerify(f.dir, clock, nil))
		}
	}
}

func TestVerifyAgain(t *testing.T) {
	lane.OneGoroutine(t)
	f, _ := newLedger(t)
	w := newWriter(t, f, 2)
	mustAppend(t, f, w.batch(700))
	var calls, last uint64
	first, err := f.Verify(ctx, nil, func(done, total uint64) {
		if done < last || total != 701 {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		calls, last = calls+1, done
	})
	if err != nil || first.Signatures != 701 || last != 701 || calls < 2 {
		t.Fatalf("%+v %v, %d calls up to %d", first, err, calls, last)
	}
	again, err := f.Verify(ctx, first.Mark, nil)
	if err != nil || again.Signatures != 0 {
		t.Errorf("%+v %v", again, err)
	}
	mustAppend(t, f, w.batch(5))
	again, err = f.Verify(ctx, first.Mark, nil)
	if err != nil || again.Signatures != 5 || again.Size != 706 {
		t.Errorf("%+v %v", again, err)
	}
	for _, other := range []Verified{{Size: 701, Root: crypto.Hash{1}}, {Size: 1, Root: first.Root}, {Size: 9999, Root: first.Root}} {
		again, err = f.Verify(ctx, &Mark{Verified: other, ledger: f.id}, nil)
		if err != nil || again.Signatures != 706 {
			t.Errorf("%v: %+v %v", other, again, err)
		}
	}
}
