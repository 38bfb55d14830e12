package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// canMount tells whether a disk of one's own can be had: on Linux, as root.
func canMount() error {
	dir, err := os.MkdirTemp("", "carekey-disk-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return exec.Command("umount", dir).Run()
}

// disk FOLDER OPTIONS mounts a disk in memory on a folder, as small as the options say.
func mountDisk(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(ts.Exec("mount", "-t", "tmpfs", "-o", args[1], "tmpfs", dir))
	ts.Defer(func() { exec.Command("umount", "-l", dir).Run() })
}

// fill FOLDER uses up what the disk below a folder has left, files and blocks. The
// files are named junk-N.
func fillDisk(ts *testscript.TestScript, neg bool, args []string) {
	block := make([]byte, 4096)
	for _, b := range [][]byte{nil, block} {
		for i := 0; ; i++ {
			f, err := os.OpenFile(filepath.Join(ts.MkAbs(args[0]), fmt.Sprintf("junk-%d", i)), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
			if err != nil {
				break
			}
			for err == nil && b != nil {
				_, err = f.Write(b)
			}
			f.Close()
			if err != nil {
				break
			}
		}
	}
}
