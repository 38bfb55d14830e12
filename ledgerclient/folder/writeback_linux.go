package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback asks the system to write bytes of a file to the disk by and by,
// so that the sync at the end finds little left to do. What it says does not
// matter: the sync decides.
func startWriteback(f file, off, n int64) {
	if o, ok := f.(*os.File); ok {
		unix.SyncFileRange(int(o.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
	}
}
