package folder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
)

// muchLater is an hour at which no file was changed a moment ago.
const muchLater contract.Hour = 700_000

// marked is a ledger with records, consents, what the keeper filed, and the mark that the
// first Verify of it made.
func marked(t *testing.T) (f *Folder, clock *testClock, p *people, grants []*given, first Report) {
	t.Helper()
	f, clock, p, g := livedIn(t)
	if info, err := os.Stat(f.path(leavesFile)); err != nil {
		t.Fatal(err)
	} else if _, ok := disk.StampOf(info); !ok {
		t.Skip("files have no stamps here")
	}
	for i := range 40 {
		p.addRecord(f, p.record(3000+i, nil))
	}
	grants = append(p.addGrants(f, 12), g)
	clock.hour = muchLater
	first = mustVerify(t, f)
	if first.From != 0 || first.Signatures != first.Size || first.Read != first.Bytes || first.Bytes < 40*3000 || first.Held < 13 {
		t.Fatalf("the first: %+v", first)
	}
	return f, clock, p, grants, first
}

// throughBytes is a mark as it was kept.
func throughBytes(t testing.TB, m *Mark) *Mark {
	t.Helper()
	b := m.Marshal()
	again, err := ParseMark(b)
	if err != nil || !bytes.Equal(again.Marshal(), b) {
		t.Fatalf("a mark does not come back: %v", err)
	}
	return again
}

func verifyWith(t testing.TB, f *Folder, m *Mark) Report {
	t.Helper()
	r, err := f.Verify(ctx, throughBytes(t, m), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// largest is the size of the largest file of payloads.
func (m *Mark) largest() (size int64) {
	for i := range m.files {
		size = max(size, int64(m.files[i].stamp.Size))
	}
	return size
}

// What was found in order is not looked at again but for the hashes of all leaves, all that
// the keeper holds, and a thirtieth of the payloads; what is new is.
func TestMark(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock, p, _, first := marked(t)
	again := verifyWith(t, f, first.Mark)
	if again.From != first.Size || again.Signatures != 0 || again.Held != 0 || again.Bytes != first.Bytes || again.Root != first.Root {
		t.Errorf("nothing is new: %+v", again)
	}
	if again.Read == 0 || again.Read > first.Bytes/readAgain+2*first.largest() {
		t.Errorf("%d bytes of %d read again", again.Read, first.Bytes)
	}
	clock.hour = testHour
	p.addGrant(f, p.grant())
	clock.hour = muchLater
	grown := verifyWith(t, f, again.Mark)
	if grown.From != first.Size || grown.Signatures != 1 || grown.Held != 1 || grown.Bytes <= first.Bytes {
		t.Errorf("one grant is new: %+v", grown)
	}
	// The next one goes on from both.
	if r := verifyWith(t, f, grown.Mark); r.From != grown.Size || r.Signatures+r.Held != 0 {
		t.Errorf("after it: %+v", r)
	}
	// Also what the keeper files.
	clock.hour = testHour
	g := p.grant()
	p.addGrant(f, g)
	_, err := f.keeper.Revoke(ctx, []contract.Entry{p.revocation(g)})
	p.must(err)
	clock.hour = muchLater
	ended := verifyWith(t, f, grown.Mark)
	if ended.Signatures != 1 || len(ended.held) != len(grown.held)+3 { // a share, a stop, an acknowledgement
		t.Errorf("%d records held, %d before: %+v", len(ended.held), len(grown.held), ended)
	}
}

// In thirty times all payloads were read again, and the mark says since when.
func TestMarkReadsAllInTurn(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock, _, _, first := marked(t)
	begun, m := first.Whole(), first.Mark
	if begun.IsZero() || !begun.Equal(clock.now().Truncate(time.Second)) {
		t.Fatalf("read whole at %s, it is %s", begun, clock.now())
	}
	for range readAgain {
		if m.Whole().After(begun) {
			break
		}
		clock.hour++
		m = verifyWith(t, f, m).Mark
	}
	if !m.Whole().After(begun) {
		t.Errorf("after %d times some file was not read since %s", readAgain, begun)
	}
	if !slices.IsSortedFunc(m.files, func(a, b markedFile) int { return int(a.read) - int(b.read) }) {
		t.Error("the file that was read longest ago is not the first")
	}
}

// A file that was changed a moment ago is not taken for unchanged.
func TestMarkOfFreshFiles(t *testing.T) {
	lane.OneGoroutine(t)
	f, _, p, _ := livedIn(t)
	p.addGrants(f, 3)
	r := mustVerify(t, f) // by this clock all files are of the future
	if len(r.files) > 0 {
		t.Errorf("%d files are marked", len(r.files))
	}
	if again := verifyWith(t, f, r.Mark); again.Read != again.Bytes || again.Bytes == 0 || again.Held != 0 {
		t.Errorf("%+v", again)
	}
}

// changeByte changes a byte of a file and gives it back its time of change, as who wants to
// hide it would.
func changeByte(t *testing.T, path string, at int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += int64(len(b))
	}
	b[at] ^= 1
	out, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = out.WriteAt(b, 0)
	}
	if err = errors.Join(err, out.Close(), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
}

// Threat: who can write the folder hides what he changed below a mark. Each of these is
// found by the next Verify, and named.
func TestMarkHidesNothing(t *testing.T) {
	lane.OneGoroutine(t)
	for name, attack := range map[string]struct {
		change func(t *testing.T, f *Folder, p *people, grants []*given)
		file   string // the beginning of the name of what is damaged
	}{
		"a signature in the log, time put back": {func(t *testing.T, f *Folder, _ *people, _ []*given) {
			changeByte(t, f.path(leavesFile), 3*contract.LeafSize-5)
		}, leavesFile},
		"a window in the log, time put back": {func(t *testing.T, f *Folder, _ *people, _ []*given) {
			changeByte(t, f.path(leavesFile), 3*contract.LeafSize-contract.LeafSize/2)
		}, leavesFile},
		"a content, time put back": {func(t *testing.T, f *Folder, _ *people, _ []*given) {
			changeByte(t, f.path("contents/"+listed(t, f.dir, "contents")[7]), 10)
		}, "contents/"},
		"a content by another file, time put back": {func(t *testing.T, f *Folder, p *people, _ []*given) {
			path := f.path("contents/" + listed(t, f.dir, "contents")[7])
			info, err := os.Stat(path)
			p.must(err)
			b, err := os.ReadFile(path)
			p.must(err)
			b[0] ^= 1
			p.must(os.WriteFile(path+".x", b, 0o600))
			p.must(os.Chtimes(path+".x", info.ModTime(), info.ModTime()))
			p.must(os.Rename(path+".x", path))
		}, "contents/"},
		"a content is gone": {func(t *testing.T, f *Folder, p *people, _ []*given) {
			p.must(os.Remove(f.path("contents/" + listed(t, f.dir, "contents")[3])))
		}, "contents/"},
		"terms, time put back": {func(t *testing.T, f *Folder, p *people, _ []*given) {
			changeByte(t, f.ground().payloads.path(1), -200)
		}, "payloads/"},
		"shares exchanged, with the sums they need": {func(t *testing.T, f *Folder, p *people, grants []*given) {
			a, err := foldertest.Share(f.dir, grants[0].id.String())
			p.must(err)
			b, err := foldertest.Share(f.dir, grants[1].id.String())
			p.must(err)
			info, err := os.Stat(a.File)
			p.must(err)
			p.must(foldertest.Exchange(a, b))
			p.must(os.Chtimes(a.File, info.ModTime(), info.ModTime()))
		}, "keeper/shares/"},
		"a share, time put back": {func(t *testing.T, f *Folder, p *people, grants []*given) {
			a, err := foldertest.Share(f.dir, grants[0].id.String())
			p.must(err)
			changeByte(t, a.File, a.At+40)
		}, "keeper/shares/"},
		"shares kept for another hour": {func(t *testing.T, f *Folder, p *people, grants []*given) {
			a, err := foldertest.Share(f.dir, grants[0].id.String())
			p.must(err)
			p.must(os.Rename(a.File, filepath.Join(filepath.Dir(a.File), "999999")))
		}, "keeper/shares/"},
	} {
		t.Run(name, func(t *testing.T) {
			f, clock, p, grants, first := marked(t)
			second := verifyWith(t, f, first.Mark)
			p.must(f.Close())
			attack.change(t, f, p, grants)
			for age, m := range map[string]*Mark{"new": second.Mark, "old": first.Mark} {
				g, err := Open(f.dir, Options{Clock: clock.now})
				if err == nil {
					_, err = g.Verify(ctx, throughBytes(t, m), nil)
					g.Close()
				}
				var d *DamagedError
				if !errors.As(err, &d) || !strings.HasPrefix(d.File, attack.file) {
					t.Errorf("with a %s mark: %v", age, err)
				}
			}
		})
	}
}

// Threat: somebody who sets the system's clock, or writes beneath the file system, changes a
// payload and leaves its stamp as it was. It is found within thirty times.
func TestMarkFindsForgedStamps(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock, p, _, first := marked(t)
	name := "contents/" + listed(t, f.dir, "contents")[11]
	changeByte(t, f.path(name), 20)
	info, err := os.Lstat(f.path(name))
	p.must(err)
	m, times := first.Mark, 0
	for ; times <= readAgain+1; times++ {
		forged := false
		for i := range m.files {
			if m.files[i].name == name {
				m.files[i].stamp, _ = disk.StampOf(info) // as it would be
				forged = true
			}
		}
		if !forged {
			t.Fatalf("%s is not in the mark", name)
		}
		clock.hour++
		r, err := f.Verify(ctx, throughBytes(t, m), nil)
		if d := (*DamagedError)(nil); errors.As(err, &d) && d.File == name {
			return
		}
		p.must(err)
		m = r.Mark
	}
	t.Errorf("not found in %d times", times)
}

// What is no mark of this ledger's history is passed over: all is checked.
func TestMarkOfAnother(t *testing.T) {
	lane.OneGoroutine(t)
	f, _, _, _, first := marked(t)
	_, _, _, _, other := marked(t)
	wrong := throughBytes(t, first.Mark)
	wrong.Root[0] ^= 1
	longer := throughBytes(t, first.Mark)
	longer.Size++
	for name, m := range map[string]*Mark{"of another ledger": other.Mark, "of another history": wrong, "of more than there is": longer} {
		r := verifyWith(t, f, m)
		if r.From != 0 || r.Signatures != first.Size || r.Held != first.Held || r.Read != r.Bytes {
			t.Errorf("%s: %+v", name, r)
		}
	}
	b := first.Marshal()
	for n := range b {
		if _, err := ParseMark(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes are a mark", n, len(b))
		}
	}
	if _, err := ParseMark(append(b, 0)); err == nil {
		t.Error("a longer one is a mark")
	}
	older := bytes.Clone(b)
	if older[0]--; older[0] == b[0] {
		t.Fatal("it has no version")
	}
	if _, err := ParseMark(older); err == nil {
		t.Error("one of another version is a mark")
	}
}

func FuzzMark(f *testing.F) {
	m := &Mark{Verified: Verified{Size: 3, Root: crypto.Hash{1}}, at: 5, held: []recordDigest{{1}, {2}},
		files: []markedFile{{name: "payloads/0000000001", stamp: disk.Stamp{Size: 9}, read: 4, alone: []half{{2, 8}}, contents: []string{"contents/x"}}}}
	f.Add(m.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseMark(b); err == nil && !bytes.Equal(m.Marshal(), b) {
			t.Errorf("%x comes back as %x", b, m.Marshal())
		}
	})
}
