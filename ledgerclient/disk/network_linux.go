package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// networkMagic are the file systems, by the number that statfs gives them, on
// which a lock taken here may not be seen elsewhere, or an fsync may not reach a
// disk.
//
// FUSE is not among them: it is how encrypted folders (gocryptfs, CryFS) and
// NTFS disks are mounted, and the number does not tell those from sshfs.
var networkMagic = map[int64]string{
	unix.NFS_SUPER_MAGIC:  "nfs",
	unix.SMB_SUPER_MAGIC:  "smb",
	unix.CIFS_SUPER_MAGIC: "cifs",
	unix.SMB2_SUPER_MAGIC: "smb2",
	unix.V9FS_MAGIC:       "9p",
	unix.AFS_SUPER_MAGIC:  "afs",
	unix.AFS_FS_MAGIC:     "afs",
	unix.CODA_SUPER_MAGIC: "coda",
	unix.CEPH_SUPER_MAGIC: "ceph",
	0x564c:                "ncp",
	0x0bd00bd0:            "lustre",
	0x20030528:            "orangefs",
	0x47504653:            "gpfs",
	0x013111a8:            "ibrix",
}

// NetworkFS names the network file system that a folder is on; "" if it is on none, or
// on one that is not known.
func NetworkFS(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return networkMagic[int64(s.Type)&0xffffffff], nil
}
