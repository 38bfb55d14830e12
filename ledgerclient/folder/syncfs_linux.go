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
