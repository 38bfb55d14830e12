package wallet_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

// The test binary is run again as another process when this is set: as what.
const (
	roleVariable = "CAREKEY_TEST_ROLE"
	dirVariable  = "CAREKEY_TEST_DIR"
	argVariable  = "CAREKEY_TEST_ARG"
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	d := district{os.Getenv(dirVariable)}
	var err error
	switch role {
	case "worker":
		err = work(d, os.Getenv(argVariable))
	case "scenario":
		// Injected faults are counted per thread.
		runtime.LockOSThread()
		err = scenario(d)
	case "node":
		err = serveNode(d)
	case "opening":
		err = openMany(d, os.Getenv(argVariable))
	case "batch":
		err = workBatch(d)
	case "move":
		err = moveAll(d, true)
	case "adding":
		err = addTelling(d)
	case "adding together", "adding singly":
		err = addQuietly(d, smallFiles(100), role == "adding singly")
	case "busy":
		err = busy(d, os.Getenv(argVariable))
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// otherProcess prepares this test binary to run as another process.
func otherProcess(t testing.TB, role string, d district, arg string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+d.dir, argVariable+"="+arg)
	return cmd
}

// district is a folder with a ledger and the homes of a patient and a clinic,
// for tests with several processes: the keys are in files.
type district struct{ dir string }

const (
	patientHome = "patient"
	clinicHome  = "clinic"
)

func (d district) ledger() string          { return filepath.Join(d.dir, "ledger") }
func (d district) home(name string) string { return filepath.Join(d.dir, name) }
func (d district) clock() time.Time        { return noon }
func (d district) keys(h string) *keyring.File {
	return &keyring.File{Path: filepath.Join(d.home(h), keyring.FileName), WorkFactor: 1,
		Passphrase: func(context.Context, bool) ([]byte, error) { return []byte("only for tests"), nil }}
}

// folder opens the ledger.
func (d district) folder() (*folder.Folder, error) {
	return folder.Open(d.ledger(), folder.Options{Clock: d.clock, Wait: 30 * time.Second})
}

func (d district) options(home string, s ledgerclient.Services) wallet.Options {
	return wallet.Options{Dir: d.home(home), Keyring: d.keys(home), Services: s, Now: d.clock}
}

// newDistrict makes a ledger and two wallets that know each other.
func newDistrict(t testing.TB, dir string) district {
	t.Helper()
	d := district{dir}
	f, err := folder.Create(d.ledger(), "Test district", d.clock)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx := context.Background()
	var ws []*wallet.Wallet
	for _, h := range []string{patientHome, clinicHome} {
		w, err := wallet.Create(ctx, d.options(h, f.Services()), crypto.NewEntropy(), h, d.ledger())
		if err != nil {
			t.Fatal(err)
		}
		ws = append(ws, w)
	}
	if _, _, err := ws[0].Contacts().Add(ctx, clinicHome, ws[1].Address().String()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws[1].Contacts().Add(ctx, patientHome, ws[0].Address().String()); err != nil {
		t.Fatal(err)
	}
	return d
}

// open opens both wallets as a new process would. close gives the ledger back.
func (d district) open() (patient, clinic *wallet.Wallet, f *folder.Folder, err error) {
	ctx := context.Background()
	if f, err = d.folder(); err != nil {
		return nil, nil, nil, err
	}
	if patient, err = wallet.Open(ctx, d.options(patientHome, f.Services())); err == nil {
		clinic, err = wallet.Open(ctx, d.options(clinicHome, f.Services()))
	}
	if err != nil {
		f.Close()
	}
	return patient, clinic, f, err
}

// journal lists what waits in both journals.
func (d district) journal(t testing.TB) []string {
	t.Helper()
	var names []string
	for _, h := range []string{patientHome, clinicHome} {
		es, err := os.ReadDir(onlyMatch(t, filepath.Join(d.home(h), "ledgers", "*", "journal")))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			if !strings.HasPrefix(e.Name(), ".") {
				names = append(names, h+"/"+e.Name())
			}
		}
	}
	return names
}

// The text of a version follows from the record's title, so that any process can
// tell what it must be.
func textOf(title string, version int) string {
	if isBundle(title) {
		return fmt.Sprintf(`{"resourceType":"Bundle","type":"collection","entry":[
  {"resource":{"resourceType":"Condition","id":"a","text":{"status":"generated","div":"<div>%s</div>"},"code":{"text":"version %d"}}},
  {"resource":{"resourceType":"Condition","id":"b","code":{"coding":[{"system":"http://snomed.info/sct","code":"195967001","display":"Asthma"}]}}}]}`, title, version)
	}
	return fmt.Sprintf("content of %s, version %d", title, version)
}

// isBundle reports whether a record of that title is FHIR.
func isBundle(title string) bool { return strings.HasPrefix(title, "bundle") }

func source(title string, version int) wallet.Source {
	text := textOf(title, version)
	name := title + ".txt"
	if isBundle(title) {
		name = title + ".json"
	}
	return wallet.Source{Reader: strings.NewReader(text), Name: name, Size: int64(len(text))}
}

// endOf is a window's end that no other grant has, to find doubled ones.
func endOf(n int) contract.Hour { return contract.Hour(noon.Unix()/3600) + 24 + contract.Hour(n) }
