package wallet_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// textFile is a small file to be added.
func textFile(name, text string) wallet.File {
	return wallet.File{Name: name, Size: int64(len(text)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// smallFiles are n different ones.
func smallFiles(n int) (files []wallet.File) {
	for i := range n {
		files = append(files, textFile(fmt.Sprintf("note %04d.txt", i), fmt.Sprintf("The note of day %d\n", i)))
	}
	return files
}

// appending counts what is appended to a ledger.
type appending struct {
	ledgerclient.Ledger
	n *atomic.Int32
}

func (l appending) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	l.n.Add(1)
	return l.Ledger.Append(ctx, es)
}

// counted opens a person's wallet again, and counts what it appends.
func (tn *town) counted(name string) (*wallet.Wallet, *atomic.Int32) {
	tn.t.Helper()
	opt, n := tn.options(name), new(atomic.Int32)
	opt.Services.Ledger = appending{opt.Services.Ledger, n}
	return must(wallet.Open(context.Background(), opt))(tn.t), n
}

// Many files become records by one append; what is there already, or twice among them, is
// one record; and one that cannot be read, or says nothing of itself, keeps no other out.
func TestAddAll(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	tn.person("Maria")
	w, appends := tn.counted("Maria")
	old := add(t, w, "old.txt", "known before")
	appends.Store(0)

	files := smallFiles(30)
	files = append(files, textFile("again.txt", "The note of day 3\n"), textFile("old too.txt", "known before"), textFile("", "nobody says what this is"))
	broken := errors.New("unreadable")
	files = slices.Insert(files, 7, wallet.File{Name: "broken.txt", Size: 10, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("half"), unreadable{broken})), nil
	}}, wallet.File{Name: "gone.txt", Size: 10, Open: func() (io.ReadCloser, error) { return nil, fs.ErrNotExist }})
	var went int64
	out, err := w.Records().AddAll(ctx, files, wallet.Describe{Category: "labs"}, func(n int64) { went = n })
	if err != nil || len(out) != len(files) {
		t.Fatal(len(out), err)
	}
	if n := appends.Load(); n != 1 {
		t.Errorf("%d appends", n)
	}
	var total int64
	for i, f := range files {
		total += f.Size
		a := out[i]
		switch f.Name {
		case "broken.txt":
			if !errors.Is(a.Err, broken) {
				t.Errorf("%s: %v", f.Name, a.Err)
			}
		case "gone.txt":
			if !errors.Is(a.Err, fs.ErrNotExist) {
				t.Errorf("%s: %v", f.Name, a.Err)
			}
		case "":
			if !errors.Is(a.Err, wallet.ErrInput) {
				t.Errorf("without a name: %v", a.Err)
			}
		case "again.txt":
			if !a.Existing || a.Record.ID != out[3].Record.ID || a.Err != nil {
				t.Errorf("%s: %+v", f.Name, a)
			}
		case "old too.txt":
			if !a.Existing || a.Record.ID != old.ID || a.Err != nil {
				t.Errorf("%s: %+v", f.Name, a)
			}
		default:
			if a.Existing || a.Err != nil || a.Record.File != f.Name || a.Record.Category != "labs" || a.Record.Title != strings.TrimSuffix(f.Name, ".txt") {
				t.Errorf("%s: %+v", f.Name, a)
			}
		}
	}
	if went != total {
		t.Errorf("%d of %d bytes", went, total)
	}
	recs := must(w.Records().List(ctx))(t)
	if len(recs) != 31 {
		t.Errorf("%d records", len(recs))
	}
	var got bytes.Buffer
	if _, err := w.Records().Open(ctx, out[29].Record.ID.String(), &got, false, nil); err != nil || !strings.HasPrefix(got.String(), "The note of day ") {
		t.Error(got.String(), err)
	}
	// The same again: nothing is appended.
	appends.Store(0)
	if _, err := w.Records().AddAll(ctx, smallFiles(30), wallet.Describe{}, nil); err != nil || appends.Load() != 0 {
		t.Error(appends.Load(), err)
	}
}

// A node has room for few uploads at a time: many files are added there as well.
func TestAddAllAtNode(t *testing.T) {
	ctx := context.Background()
	w := newRemoteNode(t).person("Maria", crypto.NewEntropy())
	files := append(smallFiles(40), textFile("again.txt", "The note of day 3\n"))
	out, err := w.Records().AddAll(ctx, files, wallet.Describe{}, nil)
	if err != nil || len(out) != len(files) {
		t.Fatal(len(out), err)
	}
	if !out[40].Existing || out[40].Record.ID != out[3].Record.ID || len(must(w.Records().List(ctx))(t)) != 40 {
		t.Errorf("%+v", out[40])
	}
	var got bytes.Buffer
	if _, err := w.Records().Open(ctx, out[39].Record.ID.String(), &got, false, nil); err != nil || got.String() != "The note of day 39\n" {
		t.Error(got.String(), err)
	}
}

type unreadable struct{ err error }

func (f unreadable) Read([]byte) (int, error) { return 0, f.err }

// A file about another person is not entered unasked, also where nobody was known before
// the files that come with it; the others are.
func TestAddAllOtherPerson(t *testing.T) {
	ctx := context.Background()
	w := newTown(t).person("Maria")
	person := func(name, born string) wallet.File {
		return textFile(name+born+".json", `{"resourceType":"Patient","name":[{"family":"`+name+`"}],"birthDate":"`+born+`"}`)
	}
	files := []wallet.File{person("Example", "1979-02-11"), person("Leo", "2014-09-30"), textFile("a.txt", "a"), person("Leo", "2014-09-29")}
	out, err := w.Records().AddAll(ctx, files, wallet.Describe{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, other := range []bool{false, true, false, true} {
		if errors.Is(out[i].Err, wallet.ErrOtherPerson) != other {
			t.Errorf("%s: %v", files[i].Name, out[i].Err)
		}
	}
	out, err = w.Records().AddAll(ctx, files, wallet.Describe{OtherPerson: true}, nil)
	for i := range out {
		if out[i].Err != nil || out[i].Existing != (i == 0 || i == 2) {
			t.Errorf("%s: %+v", files[i].Name, out[i])
		}
	}
	if err != nil || len(must(w.Records().List(ctx))(t)) != 4 {
		t.Error(err)
	}
}

// The same where only the references of a file name somebody.
func TestAddAllOtherPersonSaid(t *testing.T) {
	ctx := context.Background()
	w := newTown(t).person("Maria")
	condition := func(code, display string) wallet.File {
		return textFile(code+".json", `{"resourceType":"Condition","code":{"text":"`+code+`"},"subject":{"reference":"Patient/1","display":"`+display+`"}}`)
	}
	files := []wallet.File{textFile("p.json", `{"resourceType":"Patient","id":"1","name":[{"text":"Maria Example"}]}`),
		condition("Asthma", "Example, Maria"), condition("Gout", "Otto Other"), condition("Flu", "Maria Example")}
	for range 2 { // in one step, and against what is there
		out, err := w.Records().AddAll(ctx, files, wallet.Describe{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range out {
			if errors.Is(out[i].Err, wallet.ErrOtherPerson) != (i == 2) || i != 2 && out[i].Err != nil {
				t.Errorf("%s: %v", files[i].Name, out[i].Err)
			}
		}
	}
}

// tellingFiles tell on standard output when they are opened.
func tellingFiles(n int) []wallet.File {
	files := smallFiles(n)
	for i := range files {
		open := files[i].Open
		files[i].Open = func() (io.ReadCloser, error) { os.Stdout.WriteString("open\n"); return open() }
	}
	return files
}

// killedFiles are so many that they are added in two steps.
const (
	killedFiles = 30
	killedStep  = 25
)

// addTelling adds files and tells of each step.
func addTelling(d district) error {
	defer wallet.SetAddTogether(killedStep)()
	f, err := d.folder()
	if err != nil {
		return err
	}
	defer f.Close()
	s := f.Services()
	s.Ledger = tellingLedger{s.Ledger}
	w, err := wallet.Open(context.Background(), d.options(patientHome, s))
	if err != nil {
		return err
	}
	_, err = w.Records().AddAll(context.Background(), tellingFiles(killedFiles), wallet.Describe{}, nil)
	os.Stdout.WriteString("end\n")
	return err
}

// Promise 8: who is killed while many files are added loses none of what was entered, and
// has nothing twice when the same is added again.
func TestAddAllKilled(t *testing.T) {
	ctx := context.Background()
	for _, at := range []struct {
		line string
		n    int // of these lines
	}{{"open", 1}, {"sending", 1}, {"open", 20}, {"sent", 1}, {"open", 28}, {"sending", 2}, {"sent", 2}, {"end", 1}}[:lane.Pick(8, 8, 2)] {
		d := newDistrict(t, t.TempDir())
		cmd := otherProcess(t, "adding", d, "")
		out := must(cmd.StdoutPipe())(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < at.n && lines.Scan(); {
			if lines.Text() == at.line {
				n++
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		if err := addQuietly(d, smallFiles(killedFiles), false); err != nil {
			t.Fatalf("killed at %v: %v", at, err)
		}
		f := must(d.folder())(t)
		w := must(wallet.Open(ctx, d.options(patientHome, f.Services())))(t)
		titles := map[string]int{}
		for _, r := range must(w.Records().List(ctx))(t) {
			titles[r.Title]++
			if r.Pending != "" || r.Missing {
				t.Errorf("killed at %v: %+v", at, r)
			}
		}
		if len(titles) != killedFiles || len(d.journal(t)) > 0 {
			t.Errorf("killed at %v: %d titles, %v waits", at, len(titles), d.journal(t))
		}
		for title, n := range titles {
			if n != 1 {
				t.Errorf("killed at %v: %d of %q", at, n, title)
			}
		}
		f.Close()
	}
}

// addQuietly adds files and tells nothing, together or one by one.
func addQuietly(d district, files []wallet.File, singly bool) error {
	f, err := d.folder()
	if err != nil {
		return err
	}
	defer f.Close()
	step := len(files)
	if singly {
		step = 1
	}
	for some := range slices.Chunk(files, step) {
		w, err := wallet.Open(context.Background(), d.options(patientHome, f.Services()))
		if err != nil {
			return err
		}
		if _, err := w.Records().AddAll(context.Background(), some, wallet.Describe{}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Wherever a service fails, what was entered is told or entered by the next use, and the
// same again adds the rest and nothing twice.
func TestAddAllFaults(t *testing.T) {
	ctx := context.Background()
	const n = 5
	hit := true
	step := lane.Pick[int64](1, 13, 13)
	for k := int64(1); hit; k += step {
		ways := []bool{false, true}
		if step > 1 { // they take turns
			ways = ways[k/step%2:][:1]
		}
		for _, after := range ways {
			tn := newTown(t)
			tn.person("Maria")
			opt := tn.options("Maria")
			x := &mishap{after: after, err: errors.New("injected")}
			opt.Services = faultyServices(opt.Services, x)
			w := must(wallet.Open(ctx, opt))(t)
			x.n = x.calls.Load() + k
			out, err := w.Records().AddAll(ctx, smallFiles(n), wallet.Describe{}, nil)
			hit, x.n = x.hit.Load() != nil, 0
			if err == nil && len(out) != n {
				t.Errorf("call %d, %v: %d", k, x.hit.Load(), len(out))
			}
			out, err = w.Records().AddAll(ctx, smallFiles(n), wallet.Describe{}, nil)
			if err != nil || len(out) != n || len(must(w.Records().List(ctx))(t)) != n {
				t.Errorf("call %d, %v, then: %d, %v", k, x.hit.Load(), len(out), err)
			}
		}
	}
}

// What is in memory does not grow with the number of files or their sizes.
func TestAddAllMemory(t *testing.T) {
	lane.OneGoroutine(t)
	w := newTown(t).person("Maria")
	var files []wallet.File
	for i := range lane.Pick(4000, 700, 700) {
		body := bytes.Repeat([]byte(fmt.Sprintf("%08d", i)), 2<<10)
		files = append(files, wallet.File{Name: fmt.Sprint(i, ".bin"), Size: int64(len(body)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(bytes.Repeat([]byte(fmt.Sprintf("%08d", i)), 2<<10))), nil
		}})
	}
	for i := range 3 {
		files = append(files, wallet.File{Name: fmt.Sprint("large ", i), Size: 64 << 20, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.LimitReader(endless(byte(i)), 64<<20)), nil
		}})
	}
	stop := watchMemory()
	_, err := w.Records().AddAll(context.Background(), files, wallet.Describe{}, nil)
	if most := stop(); err != nil || most > 64<<20 {
		t.Errorf("%d MiB, %v", most>>20, err)
	}
}

// endless is bytes of one value.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// BenchmarkBudgetAdding adds 500 small files by one call, and one by one as the program
// does that is run for each: with the wallet opened anew, and without (ratio-open). It
// prints how many times faster the first is, of which 10 are promised, how often each
// appended to the ledger, and what it synced, as strace counts it for 100 of them.
func BenchmarkBudgetAdding(b *testing.B) {
	const n = 500
	ctx := context.Background()
	one := func(w *wallet.Wallet, f wallet.File) {
		r, _ := f.Open()
		if _, _, err := w.Records().Add(ctx, wallet.Source{Reader: r, Name: f.Name, Size: f.Size}, wallet.Describe{}, nil); err != nil {
			b.Fatal(err)
		}
	}
	var together, singly, opened time.Duration
	var appends [2]int32
	for range b.N {
		tn := newTown(b)
		tn.person("Maria")
		begun := time.Now()
		w, count := tn.counted("Maria")
		if _, err := w.Records().AddAll(ctx, smallFiles(n), wallet.Describe{}, nil); err != nil {
			b.Fatal(err)
		}
		together += time.Since(begun)
		appends[0] = count.Load()

		tn = newTown(b)
		tn.person("Maria")
		begun = time.Now()
		w, count = tn.counted("Maria")
		for _, f := range smallFiles(n) {
			one(w, f)
		}
		opened += time.Since(begun)
		appends[1] = count.Load()

		tn = newTown(b)
		tn.person("Maria")
		begun = time.Now()
		for _, f := range smallFiles(n) {
			one(tn.again("Maria"), f)
		}
		singly += time.Since(begun)
	}
	b.ReportMetric(float64(singly)/float64(together), "ratio")
	b.ReportMetric(float64(opened)/float64(together), "ratio-open")
	b.ReportMetric(float64(together.Microseconds())/float64(n*b.N), "µs/file")
	b.ReportMetric(float64(appends[0]), "appends")
	b.ReportMetric(float64(appends[1]), "appends-singly")
	if _, err := exec.LookPath("strace"); err != nil {
		return
	}
	for _, how := range []string{"together", "singly"} {
		d := newDistrict(b, b.TempDir())
		log := filepath.Join(b.TempDir(), "calls")
		child := otherProcess(b, "adding "+how, d, "")
		cmd := exec.Command("strace", "-f", "-qq", "-o", log, "-e", "trace=fsync,fdatasync", child.Path)
		cmd.Env = child.Env
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatal(err, string(out))
		}
		calls := must(os.ReadFile(log))(b)
		b.ReportMetric(float64(bytes.Count(calls, []byte("sync("))), "syncs-of-100-"+how)
	}
}
