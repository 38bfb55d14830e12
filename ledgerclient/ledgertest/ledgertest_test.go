package ledgertest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/ledgertest"
	"github.com/carekey/carekey/ledgerclient/order"
)

// count is how many entries the seeded run has here.
func count() int { return lane.Pick(10_000, 1000, 1000) }

// root checks the seeded run's root.
func checkRoot(t *testing.T, results []ledgertest.Result) {
	t.Helper()
	for _, r := range results {
		if want := ledgertest.Roots[count()]; r.Name == "seeded" && r.Detail != want {
			t.Errorf("seeded run: %s\nwant: %s", r.Detail, want)
		}
	}
}

func TestMemory(t *testing.T) {
	lane.OneGoroutine(t)
	hour := contract.Hour(0)
	m := &ledgertest.Memory{Clock: func() contract.Hour { return hour }}
	checkRoot(t, ledgertest.Run(t, ledgertest.Harness{
		Order:   func(context.Context) (order.Backend, error) { return m, nil },
		SetHour: func(h contract.Hour) error { hour = h; return nil },
		Seed:    1,
		Entries: count(),
	}))
}

func TestFolder(t *testing.T) {
	lane.OneGoroutine(t)
	hour := ledgertest.FirstHour
	clock := func() time.Time { return time.Unix(int64(hour)*3600, 0) }
	dir := filepath.Join(t.TempDir(), "ledger")
	f, err := folder.CreateFrom(dir, ledgertest.Founding(1), folder.Ordered{}, folder.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	checkRoot(t, ledgertest.Run(t, ledgertest.Harness{
		Ledger: func(context.Context) (ledgerclient.Ledger, error) {
			return folder.Open(dir, folder.Options{Clock: clock})
		},
		Keeper: func(context.Context) (ledgerclient.Keeper, error) {
			f, err := folder.Open(dir, folder.Options{Clock: clock})
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { f.Close() })
			return f.Services().Keepers[0], nil
		},
		SetHour: func(h contract.Hour) error { hour = h; return nil },
		Seed:    1,
		Entries: count(),
	}))
}

// missing skips a test for want of a tool, or fails it where nothing may be skipped.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CAREKEY_NO_SKIP") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// The example in testdata is what PROTOCOL.md promises: a backend in plain Python,
// of at most 200 lines.
func TestPythonProgram(t *testing.T) {
	lane.OneGoroutine(t)
	if _, err := exec.LookPath("python3"); err != nil {
		missing(t, "python3 is not installed")
	}
	source, err := os.ReadFile("testdata/carekey-ledger-example")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte("\n")); n > 200 {
		t.Errorf("%d lines", n)
	}
	dir := t.TempDir()
	clock := filepath.Join(dir, "clock")
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", here+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("EXAMPLE_CLOCK", clock)
	checkRoot(t, ledgertest.Run(t, ledgertest.Harness{
		Order: func(ctx context.Context) (order.Backend, error) {
			return order.Start(ctx, "example:"+filepath.Join(dir, "order"), order.ProgramOptions{Stderr: t.Output()})
		},
		SetHour: func(h contract.Hour) error { return os.WriteFile(clock, strconv.AppendUint(nil, uint64(h), 10), 0o600) },
		Seed:    1,
		Entries: count(),
	}))
}
