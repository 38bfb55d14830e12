package wallet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/carekey/carekey/wallet/health"
	"golang.org/x/text/unicode/norm"
)

// What was fetched lies apart by who gave it and by which consent:
//
//	DIR/<sender's name>-<8 of the sender's fingerprint>/<8 of the consent>/<file>
//
// so that two patients' lab.txt never meet. The sender's folder is found again by the
// fingerprint, whatever the contact is called by then, and its manifest.json says what
// each file is. The fingerprint is the SHA-256 of the address as text, in hex.

// Fetched is where the files of one consent go. Nothing in it is ever replaced unless the
// caller says so: a file that is in the way makes another name.
type Fetched struct {
	Dir    string          // of the files
	sender string          // folder of the sender; "" if the files go straight into Dir
	taken  map[string]bool // names given by this value, folded
	made   []string        // folders that were not there before, the innermost first
}

// Manifest is what manifest.json in a sender's folder says.
type Manifest struct {
	V      int            `json:"v"`
	Sender ManifestSender `json:"sender"`
	Files  []ManifestFile `json:"files"`
}

// ManifestSender is who gave the consents; Name is "" for a stranger, Says what the sender
// calls himself, which nobody vouches for, and Verified tells whether the check words were
// compared. Ref is the reader's own reference to the contact.
type ManifestSender struct {
	Name     string `json:"name"`
	Says     string `json:"says"`
	Address  string `json:"address"`
	Verified bool   `json:"verified"`
	Ref      string `json:"ref,omitempty"`
}

// ManifestFile is one record version, or parts of one. File is relative to the manifest's
// folder, with slashes; times are RFC 3339, SHA256 is of the file, in hex.
type ManifestFile struct {
	File    string          `json:"file"`
	SHA256  crypto.Hash     `json:"sha256"`
	Title   string          `json:"title"`
	Record  contract.ID     `json:"record"`
	Version int             `json:"version"`
	Consent contract.ID     `json:"consent"`
	Purpose string          `json:"purpose"`
	Until   Hour            `json:"until"`
	Granted Hour            `json:"granted"`
	Ledger  crypto.LedgerID `json:"ledger"`
	Part    bool            `json:"part,omitempty"` // other parts of the record may exist; its title is not known then
}

// File is what a manifest says of record i, which is in a file.
func (o *Opening) File(i int, file string) ManifestFile {
	r, rec := &o.Consent, &o.Records[i]
	return ManifestFile{file, rec.SHA256, rec.Title, rec.ID, rec.Version, r.Consent, r.Purpose.Word(), r.Until, r.Granted, r.Ledger, rec.Part()}
}

const (
	manifestFile    = "manifest.json"
	manifestLock    = ".manifest.lock" // who holds it may write the manifest
	manifestVersion = 1
	maxManifest     = 64 << 20 // bytes
	maxSaveName     = 120      // bytes of a name that SafeName makes
)

// PrepareFetch makes the folder for what a consent opens, below dir, and finds out that a
// file of the longest name can be made in it and be noted: that is for before the access,
// which cannot be taken back. With flat the files go into dir itself.
func PrepareFetch(dir string, r Received, flat bool) (*Fetched, error) {
	f := &Fetched{Dir: dir, taken: map[string]bool{}}
	if !flat {
		var err error
		if f.sender, err = senderFolder(dir, r); err != nil {
			return nil, err
		}
		f.Dir = filepath.Join(f.sender, hex.EncodeToString(r.Consent[:4]))
	}
	return f.prepare()
}

// PrepareLink is PrepareFetch for what a link holds that somebody serves. The files of two
// links never meet: the folder has 8 digits of the SHA-256 of the link's URL in its name.
func PrepareLink(dir, host, url string, flat bool) (*Fetched, error) {
	f := &Fetched{Dir: dir, taken: map[string]bool{}}
	if !flat {
		sum := sha256.Sum256([]byte(url))
		name := strings.TrimSuffix(SafeName("link-"+host+"_", sum), "_")
		for len(name) > maxSaveName/2 {
			name = shorten(name)
		}
		f.Dir = filepath.Join(dir, name+"-"+hex.EncodeToString(sum[:4]))
	}
	return f.prepare()
}

// prepare makes the folder, if it is not there, and tries that files can be made in it.
func (f *Fetched) prepare() (*Fetched, error) {
	for at := f.Dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		f.made = append(f.made, at)
	}
	longest := strings.Repeat("n", maxSaveName)
	err := os.MkdirAll(f.Dir, 0o700)
	if err == nil {
		err = MaySave(filepath.Join(f.Dir, longest), true)
	}
	if err == nil && f.sender != "" { // of another user, perhaps, who shares it
		var lock *os.File
		if lock, err = disk.Open(filepath.Join(f.sender, manifestLock), os.O_RDWR, 0); err == nil {
			lock.Close()
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = MaySave(filepath.Join(f.sender, longest), true)
		}
	}
	if err != nil {
		f.Discard()
		return nil, err
	}
	return f, nil
}

// Discard removes the folders again that were made, if nothing is in them.
func (f *Fetched) Discard() {
	for _, dir := range f.made {
		os.Remove(dir)
	}
}

// senderFolder is the folder of a sender below dir: the one that is there, or else a new
// one. A folder whose manifest is of another address is somebody else's: eight digits can
// be made to be alike.
func senderFolder(dir string, r Received) (string, error) {
	sum := sha256.Sum256([]byte(r.Address.String()))
	fingerprint := hex.EncodeToString(sum[:])
	entries, err := disk.ReadDir(dir + string(filepath.Separator))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	names := map[string]bool{}
	for _, digits := range []int{8, 64} {
		for _, e := range entries {
			names[strings.ToLower(e.Name())] = true
			if !e.IsDir() || !strings.HasSuffix(e.Name(), "-"+fingerprint[:digits]) {
				continue
			}
			path := filepath.Join(dir, e.Name())
			if m, err := readManifest(path); m == nil && err == nil || m != nil && m.Sender.Address == r.Address.String() || errors.Is(err, errManifest) {
				return path, nil
			} else if err != nil {
				return "", err
			}
		}
	}
	name := cmp.Or(r.From, "unknown")
	// The underscore keeps a name such as CON from being a device's before it is longer.
	name = strings.TrimSuffix(SafeName(name+"_", r.Consent), "_")
	for len(name) > maxSaveName/2 {
		name = shorten(name)
	}
	if free := name + "-" + fingerprint[:8]; !names[strings.ToLower(free)] {
		return filepath.Join(dir, free), nil
	}
	return filepath.Join(dir, name+"-"+fingerprint), nil
}

// errManifest says that a manifest is not what this package writes.
var errManifest = errors.New("not a manifest of carekey")

// ReadManifest reads manifest.json in a sender's folder; nil if there is none that carekey
// wrote.
func ReadManifest(folder string) (*Manifest, error) {
	m, err := readManifest(folder)
	if errors.Is(err, errManifest) {
		return nil, nil
	}
	return m, err
}

// readManifest reads the manifest of a sender's folder; nil if there is none.
func readManifest(folder string) (*Manifest, error) {
	path := filepath.Join(folder, manifestFile)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxManifest {
		return nil, errManifest
	}
	b, err := disk.ReadFile(path, maxManifest)
	if err != nil {
		return nil, err
	}
	var m Manifest
	if json.Unmarshal(b, &m) != nil || m.V < 1 {
		return nil, errManifest
	}
	if m.V > manifestVersion {
		return nil, WrongVersion(path, m.V, manifestVersion)
	}
	return &m, nil
}

// Save writes record i of an opening under a safe form of its name, mode 0600. The file
// appears only when it is whole and verified. A file of that name with the same bytes is
// left alone, and beside another one the name gets the record's id; with overwrite it is
// replaced.
func (f *Fetched) Save(ctx context.Context, o *Opening, i int, overwrite bool, progress func(int64)) (path string, err error) {
	r := &o.Records[i]
	if r.NotSigned != nil {
		return "", r.NotSigned
	}
	write := func(dst io.Writer) error { return o.Read(ctx, i, dst, progress) }
	if r.Part() { // what the file is follows from the parts
		parts, err := o.granted(ctx, r, progress)
		if err != nil {
			return "", err
		}
		write = func(dst io.Writer) error { return health.WriteSubset(dst, time.Time{}, parts) }
	}
	name := SafeName(r.File, r.ID)
	if strings.HasSuffix(foldName(name), AttestationEnd) {
		name += "_" // else what is written beside another file could replace it
	}
	name, err = saveBeside(name, r.ID, f.taken, func(name string) error {
		return SaveFile(filepath.Join(f.Dir, name), r.SHA256, overwrite, write)
	})
	if err != nil {
		return "", err
	}
	path = filepath.Join(f.Dir, name)
	if a := o.attestation(i); a != nil {
		err = SaveFile(path+AttestationEnd, crypto.Hash(sha256.Sum256(a)), true, func(dst io.Writer) error { _, err := dst.Write(a); return err })
	}
	return path, err
}

// SaveAs writes bytes under that name as Save does a record. Beside another file of the
// name it gets the first digits of their SHA-256.
func (f *Fetched) SaveAs(name string, file []byte, overwrite bool) (path string, sum crypto.Hash, err error) {
	sum = sha256.Sum256(file)
	name, err = saveBeside(name, contract.ID(sum), f.taken, func(name string) error {
		return SaveFile(filepath.Join(f.Dir, name), sum, overwrite, func(dst io.Writer) error {
			_, err := dst.Write(file)
			return err
		})
	})
	if err != nil {
		return "", sum, err
	}
	return filepath.Join(f.Dir, name), sum, nil
}

// foldName is what names have in common that some file systems take for one.
func foldName(name string) string { return strings.ToLower(norm.NFC.String(name)) }

// Note enters saved files in the manifest of the sender's folder; files[i] is the path of
// record i of the opening, "" if it was not saved. It does so after others that do it at
// the same time. A manifest that is not carekey's is kept beside the new one; aside is
// where. In a folder without senders there is no manifest.
func (f *Fetched) Note(ctx context.Context, o *Opening, files []string) (aside string, err error) {
	if f.sender == "" {
		return "", nil
	}
	lock, err := disk.Open(filepath.Join(f.sender, manifestLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := disk.WaitLock(ctx, lock, true, disk.Forever); err != nil {
		return "", err
	}
	path := filepath.Join(f.sender, manifestFile)
	m, err := readManifest(f.sender)
	if errors.Is(err, errManifest) {
		for n := 1; ; n++ {
			aside = fmt.Sprintf("%s.%d", path, n)
			if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
		err = os.Rename(path, aside)
	}
	if err != nil {
		return "", err
	}
	if m == nil {
		m = &Manifest{}
	}
	r := &o.Consent
	m.V, m.Sender = manifestVersion, ManifestSender{r.From, r.Says, r.Address.String(), r.Verified, r.Ref}
	for i, file := range files {
		if file == "" {
			continue
		}
		rel, err := filepath.Rel(f.sender, file)
		if err != nil {
			return aside, err
		}
		e := o.File(i, filepath.ToSlash(rel))
		at := slices.IndexFunc(m.Files, func(x ManifestFile) bool { return x.File == e.File })
		if at < 0 {
			m.Files = append(m.Files, e)
		} else {
			m.Files[at] = e
		}
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return aside, err
	}
	return aside, atomicfile.Write(path, append(b, '\n'), 0o600)
}
