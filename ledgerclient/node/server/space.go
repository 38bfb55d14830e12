package server

import (
	"sync"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// space is room on a disk: bytes, in whole blocks, and files with their folders, each of
// which takes an inode.
type space struct{ bytes, files int64 }

// block is what the smallest file takes.
const block = 4096

// file adds one of n bytes.
func (s *space) file(n int) {
	s.bytes += (int64(n) + block - 1) / block * block
	s.files++
}

// spaceOf is what a folder needs at most for payloads: a file for each, as the large
// ones have it. Small ones lie behind one another and need less.
func spaceOf(puts []ledgerclient.Put) (s space) {
	s = spaceOfFiles(6) // the stage, a segment, and the folders that are not there yet
	for i := range puts {
		s.file(len(puts[i].Package) + len(puts[i].Blob) + block) // with its locators
	}
	return s
}

// spaceOfDeposits is for shares: each may be the first that ends in its hour, and so in a
// file of its own, with the package of its grant.
func spaceOfDeposits(deposits []ledgerclient.Deposit) (s space) {
	s = spaceOfFiles(1) // their folder
	for i := range deposits {
		s.file(len(deposits[i].Package) + block)
	}
	return s
}

// spaceOfFiles is for so many small files.
func spaceOfFiles(n int) space { return space{int64(n) * block, int64(n)} }

// spaceOfEntries is for entries in the log, with what is derived from them.
func spaceOfEntries(n int) space { return space{int64(n)*1024 + 64*block, 1} }

// reserveFiles is how many files are kept free where there are so many in all, for as
// long as bytes are: of a sixteenth no more than a quarter of a million.
func reserveFiles(all int64) int64 { return min(all/16, 1<<18) }

// ledgerDisk is the disk that a folder is on, with what is on its way there: of two
// requests at the same time each sees what the other will need.
type ledgerDisk struct {
	dir     string
	reserve int64 // bytes; negative: none
	free    func(dir string) (free, all space, ok bool)

	mu     sync.Mutex
	coming space
}

// take makes room for what is to be written, until free is called; false if that would
// undercut the reserve.
func (d *ledgerDisk) take(s space) (free func(), ok bool) { return d.takeTo(1, s) }

// takeTo is take of what may use the reserve but for a part of it: the half, say.
func (d *ledgerDisk) takeTo(part int64, s space) (free func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if left, all, known := d.free(d.dir); known && d.reserve >= 0 {
		left.bytes -= d.coming.bytes + s.bytes
		left.files -= d.coming.files + s.files
		if left.bytes < d.reserve/part || all.files > 0 && left.files < reserveFiles(all.files)/part {
			return nil, false
		}
	}
	d.coming.bytes += s.bytes
	d.coming.files += s.files
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.coming.bytes -= s.bytes
		d.coming.files -= s.files
	}, true
}

// storing does what needs so much of the disk. It is counted, and so much is kept free
// that revocations can still be ordered when somebody has filled the disk.
func (s *Server) storing(q *request, need space, do func() error) error {
	free, ok := s.disk.take(need)
	if !ok {
		return refuse(node.KindFull)
	}
	defer free()
	if wait, ok := q.use("bytes", s.limits.Bytes, float64(need.bytes)); !ok {
		return refuseFor(node.KindQuota, wait)
	}
	return do()
}
