package wallet_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
)

// The budgets of records. Each benchmark prints the ratio of what the wallet
// takes to what it is measured against in the same run, and the most that the
// ratio may be. Noise of the machine fails nothing.

// budgetSize is the size of the record: 1 GiB, or 64 MiB with -short.
func budgetSize() int64 {
	if testing.Short() {
		return 64 << 20
	}
	return 1 << 30
}

// stockAge builds the age program of the version that the wallet links, with
// that program's own requirements.
func stockAge(b *testing.B) string {
	b.Helper()
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "filippo.io/age").Output()
	if err != nil {
		b.Fatal("go list:", err)
	}
	dir := b.TempDir()
	install := exec.Command("go", "install", "filippo.io/age/cmd/age@"+strings.TrimSpace(string(version)))
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "GOOS=", "GOARCH=")
	if out, err := install.CombinedOutput(); err != nil {
		b.Skipf("age cannot be built: %v\n%s", err, out)
	}
	return filepath.Join(dir, "age")
}

// pairs runs two things in turns and reports the median and the lowest of the
// ratios of their times. Turns change places, so that neither has the warmer
// machine. With -short three times are enough.
func pairs(b *testing.B, n int, most float64, ours, theirs func() time.Duration) {
	b.Helper()
	n = lane.Pick(n, n, 3)
	var ratios []float64
	var a, o []time.Duration
	for i := range n * b.N {
		var x, y time.Duration
		if i%2 == 0 {
			x, y = ours(), theirs()
		} else {
			y, x = theirs(), ours()
		}
		o, a = append(o, x), append(a, y)
		ratios = append(ratios, x.Seconds()/y.Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(ratios[0], "ratio-lowest")
	b.ReportMetric(slices.Min(o).Seconds()/slices.Min(a).Seconds(), "ratio-of-bests")
	b.ReportMetric(slices.Min(o).Seconds(), "s-ours")
	b.ReportMetric(slices.Min(a).Seconds(), "s-theirs")
	b.ReportMetric(most, "budget-max")
	b.ReportMetric(0, "ns/op")
}

// settle lets the disk finish what it was given, so that nobody pays for it in
// another's turn.
func settle(b *testing.B, dir string) {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "settle"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	f.WriteString("x")
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
}

// randomFile is a file that does not compress.
func randomFile(b testing.TB, path string, size int64) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{1}), size); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	f.Close()
}

func syncFile(b *testing.B, path string) {
	b.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBudgetRecord encrypts and decrypts a record from file to file, and
// has the stock age program do the same with an X25519 key on the same disk.
//
// Both encrypt with age. The wallet also hashes the file and the pieces of the
// ciphertext, checks both when it decrypts, and when Records.Add returns all is
// durable (the content is synced, and the ledger's files); age never syncs. So
// encrypting is shown against age as it is, which is the budget, and against age
// and a sync of its one file. Decrypting syncs nothing on either side.
func BenchmarkBudgetRecord(b *testing.B) {
	const rounds = 5
	program := stockAge(b)
	ctx := context.Background()
	dir := b.TempDir()
	in, size := filepath.Join(dir, "scan.bin"), budgetSize()
	randomFile(b, in, size)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte(identity.String()+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	tn := newTown(b)
	people := 0
	addFile := func() (w *wallet.Wallet, rec wallet.Record, took time.Duration) {
		people++ // nobody has two records of the same bytes
		w = tn.person(fmt.Sprint("Maria ", people))
		settle(b, dir)
		start := time.Now()
		f, err := os.Open(in)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		rec, existing, err := w.Records().Add(ctx, wallet.Source{Reader: f, Name: "scan.bin", Size: size}, wallet.Describe{}, nil)
		if err != nil || existing {
			b.Fatal(existing, err)
		}
		return w, rec, time.Since(start)
	}
	run := func(args ...string) {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			b.Fatalf("age: %v\n%s", err, out)
		}
	}
	out := filepath.Join(dir, "out")
	encryptOurs := func() time.Duration {
		w, rec, took := addFile()
		if _, _, err := w.Records().Remove(ctx, rec.ID.String()); err != nil {
			b.Fatal(err)
		}
		return took
	}
	encryptTheirs := func(synced bool) func() time.Duration {
		return func() time.Duration {
			os.Remove(out)
			settle(b, dir)
			start := time.Now()
			run("-r", identity.Recipient().String(), "-o", out, in)
			if synced {
				syncFile(b, out)
			}
			took := time.Since(start)
			os.Remove(out)
			return took
		}
	}
	b.Run("encrypt", func(b *testing.B) { pairs(b, rounds, 1, encryptOurs, encryptTheirs(false)) })
	b.Run("encrypt/synced", func(b *testing.B) { pairs(b, rounds, 1, encryptOurs, encryptTheirs(true)) })

	w, rec, _ := addFile()
	sealed := filepath.Join(dir, "scan.age")
	run("-r", identity.Recipient().String(), "-o", sealed, in)
	b.Run("decrypt", func(b *testing.B) {
		pairs(b, rounds, 1, func() time.Duration {
			os.Remove(out)
			settle(b, dir)
			start := time.Now()
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := w.Records().Open(ctx, rec.ID.String(), f, false, nil); err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			return time.Since(start)
		}, func() time.Duration {
			os.Remove(out)
			settle(b, dir)
			start := time.Now()
			run("-d", "-i", key, "-o", out, sealed)
			return time.Since(start)
		})
	})
}

// memoryChild holds the size of the record that a child of the tests is to add
// and get, in bytes, or bundleChild.
const memoryChild = "CAREKEY_TEST_MEMORY_CHILD"

// bundleChild stands for a bundle of 10,000 resources.
const bundleChild = -1

// memoryLimit is what a process may use at most, whatever the record's size.
const memoryLimit = 64 // MiB

// TestMemoryChild is the other process of the two below; by itself it is empty.
func TestMemoryChild(t *testing.T) {
	size, err := strconv.ParseInt(os.Getenv(memoryChild), 10, 64)
	if err != nil {
		return
	}
	ctx := context.Background()
	tn := newTown(t)
	path := filepath.Join(t.TempDir(), "scan.bin")
	f, err := os.Create(path)
	if err == nil && size != bundleChild {
		err = f.Truncate(size)
	} else if err == nil {
		out := bufio.NewWriter(f)
		writeResources(out, 10_000, 1)
		err = out.Flush()
		size, _ = f.Seek(0, io.SeekCurrent)
		f.Seek(0, io.SeekStart)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tn.person("Maria")
	rec, _, err := w.Records().Add(ctx, wallet.Source{Reader: f, Name: "scan.bin", Size: size}, wallet.Describe{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tn.again("Maria").Records().Open(ctx, rec.ID.String(), io.Discard, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, parts, err := tn.again("Maria").Records().Parts(ctx, rec.ID.String()); err != nil || len(parts) != rec.Parts {
		t.Fatal(len(parts), err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ = strings.Cut(peak, "kB")
	fmt.Printf("\npeak %s kB\n", strings.TrimSpace(peak))
}

// peakMemory is the most memory that a process had resident, in MiB, that added
// a record of that size and got it.
func peakMemory(t testing.TB, size int64) float64 {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("peak memory is read from /proc")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestMemoryChild$")
	child.Env = append(os.Environ(), memoryChild+"="+fmt.Sprint(size))
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, peak, _ := strings.Cut(string(out), "\npeak ")
	peak, _, _ = strings.Cut(peak, " kB")
	kib, err := strconv.Atoi(peak)
	if err != nil {
		t.Fatalf("no peak in %q", out)
	}
	return float64(kib) / 1024
}

// A record is streamed: one of three times the limit fits.
func TestMemoryIsFlat(t *testing.T) {
	if lane.Race() {
		return // its own memory is many times more
	}
	if got := peakMemory(t, 3*memoryLimit<<20); got > memoryLimit {
		t.Errorf("%.0f MiB, more than %d", got, memoryLimit)
	}
}

// BenchmarkBudgetMemory prints the peak memory of a process that adds a record
// and gets it.
func BenchmarkBudgetMemory(b *testing.B) {
	var most float64
	for range b.N {
		most = max(most, peakMemory(b, budgetSize()))
	}
	b.ReportMetric(most, "MiB-peak")
	b.ReportMetric(most/memoryLimit, "ratio")
	b.ReportMetric(1, "budget-max")
	b.ReportMetric(0, "ns/op")
}
