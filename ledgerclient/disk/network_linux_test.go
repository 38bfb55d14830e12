package disk

import (
	"testing"
)

func TestNetworkFS(t *testing.T) {
	for magic, want := range map[int64]string{
		0x6969: "nfs", 0x517b: "smb", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x01021997: "9p",
		0x5346414f: "afs", 0x6b414653: "afs", 0x00c36400: "ceph",
	} {
		if got := networkMagic[magic]; got != want {
			t.Errorf("%#x is %q, want %q", magic, got, want)
		}
	}
	for magic, name := range map[int64]string{0xef53: "ext4", 0x9123683e: "btrfs", 0x58465342: "xfs", 0x01021994: "tmpfs", 0x65735546: "fuse"} {
		if got := networkMagic[magic]; got != "" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got, err := NetworkFS("/proc"); got != "" || err != nil {
		t.Errorf("/proc is %q, %v", got, err)
	}
	if _, err := NetworkFS("/no/such/folder"); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
