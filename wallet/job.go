package wallet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/outbox"
)

// Job is a folder of sealed files for what a program does with the open ledger in
// several steps, so that it can go on after whatever ends a run. There is one at a time:
// from when the file of the name [JobFile] is written until the job is removed. While
// there is one the ledger is not left and the profile not removed. Its files are read
// and written under the wallet's lock, see [Wallet.Together].
type Job struct{ home home.Folder }

// JobFile says what the job is. It is written last.
const JobFile = "job"

const jobDir = "batch"

// Job returns the job of the open ledger, whether or not there is one.
func (w *Wallet) Job() Job { return Job{w.home} }

func (j Job) name(file string) string { return j.home.In(filepath.Join(jobDir, file)) }

func (j Job) path(file string) string { return j.home.Path(j.name(file)) }

// Exists reports whether there is a job, be it one that cannot be read.
func (j Job) Exists() bool {
	_, err := os.Lstat(j.path(JobFile))
	return !errors.Is(err, fs.ErrNotExist)
}

// Read reads a file into v, and reports whether there is one. A damaged file is a
// *DamagedError.
func (j Job) Read(file string, v any) (bool, error) {
	if _, err := os.Lstat(j.path(file)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return true, j.home.ReadSealed(j.name(file), v)
}

// Write writes a file, durably and at once.
func (j Job) Write(file string, v any) error {
	dir := j.path("")
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = disk.SyncDir(filepath.Dir(dir))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return j.home.WriteSealed(j.name(file), v)
}

// Remove removes the job, or what a killed process left of one that was never begun.
func (j Job) Remove() error {
	if err := os.Remove(j.path(JobFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(j.path(""))
}

// Damaged is the error of a file that cannot be what was written.
func (j Job) Damaged(file string) error { return &home.DamagedError{File: j.name(file)} }

// Seal seals what is to leave the wallet's folder and come back, like a plan that a
// person looks at before it becomes a job.
func (j Job) Seal(purpose string, plain []byte) []byte {
	return j.home.Key.Seal(sealedFor+purpose, plain)
}

// Open opens what this wallet has sealed for the same purpose, and nothing else.
func (j Job) Open(purpose string, sealed []byte) ([]byte, error) {
	return j.home.Key.Open(sealedFor+purpose, sealed)
}

// sealedFor begins no name of a file.
const sealedFor = "sealed for "

// tell writes what became of a batch with a tag. Once the job is removed nobody waits
// for it.
func (w *Wallet) tell(b *outbox.Batch) error {
	if !w.Job().Exists() {
		return nil
	}
	e := Ended{Size: w.view.Head().Size, Root: w.view.Head().Root}
	given := map[contract.ID]bool{}
	for _, c := range b.Changes {
		if c.Entry.Opens() {
			given[c.ID] = true
		} else if given[c.Entry.Subject] {
			continue // ends a grant that came to nothing: see outbox.ErrOtherKeepers
		}
		x := EndedChange{Consent: consentOf(c), Failed: c.Err != nil}
		if refused, ok := errors.AsType[*contract.Refusal](c.Err); ok {
			x.Rule, x.Hour = refused.Rule, refused.Hour
		}
		e.Changes = append(e.Changes, x)
	}
	return w.Job().Write(b.Tag, &e)
}
