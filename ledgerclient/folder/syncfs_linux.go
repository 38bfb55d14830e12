package folder

import (
	"os"

	"github.com/carekey/carekey/ledgerclient/disk"
	"golang.org/x/sys/unix"
)

func (systemFiles) syncFS(dir string) error {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return nil
}

// startWriteback asks the system to write bytes of a file to the disk by and by,
// so that the sync at the end finds little left to do. What it says does not
// matter: the sync decides.
func startWriteback(f file, off, n int64) {
	if o, ok := f.(*os.File); ok {
		unix.SyncFileRange(int(o.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
	}
}
