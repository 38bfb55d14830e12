package contract

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const readerPath = "../../testdata/reader.py"

// python returns the interpreter that runs the second reader.
func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil && os.Getenv("CAREKEY_NO_SKIP") != "" {
		t.Fatal("python3 is not here and skips are forbidden")
	}
	if err != nil {
		t.Skip("python3 is not here: the second reader does not run")
	}
	return path
}

// files is a ledger's folder as far as a reader needs it.
type files struct{ genesis, leaves, checkpoint []byte }

func (f files) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"genesis": f.genesis, "leaves": f.leaves, "checkpoint": f.checkpoint} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// signCheckpoint returns the checkpoint over the leaves, signed by a node.
func signCheckpoint(t *testing.T, l crypto.LedgerID, leaves []byte, node ed25519.PrivateKey) []byte {
	t.Helper()
	var data [][]byte
	for at := 0; at < len(leaves); at += LeafSize {
		data = append(data, leaves[at:at+LeafSize])
	}
	origin := "carekey/v1/" + l.String()
	text := fmt.Sprintf("%s\n%d\n%v\n", origin, len(data), tlog.Hash(treeHead(data)))
	signed, err := note.Sign(&note.Note{Text: text}, nodeSigner{origin, node})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// nodeSigner signs notes with a node's Ed25519 key.
type nodeSigner struct {
	name string
	key  ed25519.PrivateKey
}

func (s nodeSigner) Name() string                    { return s.name }
func (s nodeSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }
func (s nodeSigner) KeyHash() uint32 {
	vkey, err := note.NewEd25519VerifierKey(s.name, s.key.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		panic(err)
	}
	return v.KeyHash()
}

// sampleFolder is a ledger with every kind of entry of contract version 1.
func sampleFolder(t *testing.T) (*world, files) {
	w := newWorld(t)
	e, next := w.next("node-1", "node-3")
	w.must(w.put(e, "node-2", next.Marshal()))
	w.must(w.put(w.version(), "owner", nil))
	w.must(w.put(w.access(), "clinic", nil))
	w.must(w.putAt(1002, with(w.access(), func(e *Entry) { e.Commitment = testHash("again") }), "clinic", nil))
	w.must(w.putAt(1003, w.withdrawal(), "owner", nil))
	w.must(w.putAt(1003, w.revoke(), "patient", nil))
	w.must(w.putAt(1010, Entry{Kind: KindRecord}, "owner-2", nil))
	genesis := testConfig(t, "Test ledger", 2, "node-1", "node-2", "node-3")
	f := files{genesis: genesis.Marshal()}
	for i := range w.leaves {
		b := w.leaves[i].Marshal()
		f.leaves = append(f.leaves, b[:]...)
	}
	f.checkpoint = signCheckpoint(t, w.ledger, f.leaves, testNodeKey("node-1"))
	return w, f
}

func runReader(t *testing.T, python, dir string) (line string, status int) {
	t.Helper()
	cmd := exec.Command(python, readerPath, dir)
	out, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
}

func TestReaderAgrees(t *testing.T) {
	lane.OneGoroutine(t)
	py := python(t)
	w, f := sampleFolder(t)
	want := fmt.Sprintf("ok size %d root %s", len(w.leaves), w.root())
	if line, status := runReader(t, py, f.write(t)); line != want || status != 0 {
		t.Errorf("status %d: %s\nwant %s", status, line, want)
	}
	// What follows the checkpoint's size was not committed yet.
	f.leaves = append(f.leaves, bytes.Repeat([]byte{1}, 100)...)
	if line, status := runReader(t, py, f.write(t)); line != want || status != 0 {
		t.Errorf("torn write: status %d: %s", status, line)
	}
	f.leaves = f.leaves[:len(w.leaves)*LeafSize-1]
	if line, status := runReader(t, py, f.write(t)); status != 1 || !strings.HasPrefix(line, "bad: leaf 9: ") {
		t.Errorf("truncated: status %d: %s", status, line)
	}
	f.leaves = f.leaves[:3*LeafSize]
	f.checkpoint = signCheckpoint(t, w.ledger, f.leaves, testNodeKey("not a node"))
	if line, status := runReader(t, py, f.write(t)); status != 1 || !strings.HasPrefix(line, "bad: checkpoint: ") {
		t.Errorf("signed by a stranger: status %d: %s", status, line)
	}
}

// forgeries runs the reader over many variants in one process. Each variant is
// one flipped byte of one file; "signed" means that the node signed a checkpoint
// over the changed leaves, so that only the reader's judgement is left.
const forgeries = `
import runpy, sys
reader = runpy.run_path(sys.argv[1])
data = open(sys.argv[2], "rb").read()
while data:
    parts = []
    for _ in range(3):
        n = int.from_bytes(data[:4], "big")
        parts.append(data[4:4 + n])
        data = data[4 + n:]
    print(reader["check"](*parts))
`

func TestReaderRefusesEveryFlippedByte(t *testing.T) {
	lane.OneGoroutine(t)
	py := python(t)
	w, f := sampleFolder(t)
	type variant struct {
		what, want string
		files
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	var all []variant
	for at := range f.checkpoint {
		g := f
		g.checkpoint = flip(f.checkpoint, at)
		all = append(all, variant{fmt.Sprint("checkpoint byte ", at), "bad: checkpoint: ", g})
	}
	for at := range f.genesis {
		g := f
		g.genesis = flip(f.genesis, at)
		all = append(all, variant{fmt.Sprint("genesis byte ", at), "bad: ", g})
	}
	// Coprime to the leaf's size: every place of a leaf comes up in some leaf.
	step := lane.Pick(61, 211, 211)
	for at := 0; at < len(f.leaves); at += step {
		g := f
		g.leaves = flip(f.leaves, at)
		all = append(all, variant{fmt.Sprint("leaves byte ", at), "bad: ", g})
		if at%LeafSize < 4 {
			continue // the hour of an entry that opens a thread is the node's word alone
		}
		g.checkpoint = signCheckpoint(t, w.ledger, g.leaves, testNodeKey("node-1"))
		all = append(all, variant{fmt.Sprint("leaves byte ", at, ", signed"), fmt.Sprintf("bad: leaf %d: ", at/LeafSize), g})
	}
	// The hours of follow-ups are under the chain.
	for _, leaf := range []int{3, 4, 5, 6, 7, 8} {
		g := f
		g.leaves = flip(f.leaves, leaf*LeafSize+3)
		g.checkpoint = signCheckpoint(t, w.ledger, g.leaves, testNodeKey("node-1"))
		all = append(all, variant{fmt.Sprint("hour of leaf ", leaf, ", signed"), "bad: leaf ", g})
	}

	var stream []byte
	for _, v := range all {
		for _, b := range [][]byte{v.genesis, v.leaves, v.checkpoint} {
			stream = append(binary.BigEndian.AppendUint32(stream, uint32(len(b))), b...)
		}
	}
	path := filepath.Join(t.TempDir(), "variants")
	if err := os.WriteFile(path, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(py, "-c", forgeries, readerPath, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(all) {
		t.Fatalf("%d verdicts on %d variants", len(lines), len(all))
	}
	for i, v := range all {
		if !strings.HasPrefix(lines[i], v.want) {
			t.Errorf("%s: %q, want %q", v.what, lines[i], v.want)
		}
	}
	t.Logf("%d variants refused", len(all))
}

// A reader of one page: the promise is part of what it is for.
func TestReaderIsShort(t *testing.T) {
	source, err := os.ReadFile(readerPath)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte("\n")); n > 150 {
		t.Errorf("%d lines, want at most 150", n)
	}
}
