package folder

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Threat: who can write the folder gives a file of shares a header that is none, or says of
// more than the file has, or of half a record, and cuts the file anywhere. A share can be
// destroyed all the same, and nothing large is written or held.
func TestForgedShareFile(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []byte
		cut    int64 // of the length
	}{
		{"no header, cut", make([]byte, segmentHeader), 10},
		{"half a record", segmentHead{name: 7, durable: segmentHeader + 500, checked: segmentHeader}.marshal(), 0},
		{"more than there is", segmentHead{name: 7, durable: maxSegment, checked: segmentHeader}.marshal(), 0},
		{"more than there is, cut", segmentHead{name: 7, durable: maxSegment, checked: segmentHeader}.marshal(), 10},
	} {
		f, _ := newLedger(t)
		p := newPeople(t, f.id)
		grants := p.addGrants(f, 3)
		path := f.ground().shares.path(grants[0].entry.NotAfter)
		b := mustRead(t, path)
		copy(b, c.header)
		p.must(os.WriteFile(path, b[:int64(len(b))-c.cut], 0o600))
		f = reopen(t, f)
		e := p.revocation(grants[0])
		mustAppend(t, f, []contract.Entry{e})
		if _, err := f.keeper.Revoke(ctx, []contract.Entry{e}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if found := filesWith(t, f.dir, secretOf(grants[0])); len(found) > 0 {
			t.Errorf("%s: the share is still in %v", c.name, found)
		}
		if info, err := os.Stat(path); err != nil || info.Size() > int64(len(b)) {
			t.Errorf("%s: %v, %v", c.name, info, err)
		}
		more := p.grant()
		p.addGrant(f, more)
		if st, err := more.stateAt(reopen(t, f)); err != nil || !st.Held {
			t.Errorf("%s: %+v, %v", c.name, st, err)
		}
	}
}

// Threat: a record without keys, or an ended one that is longer than all there is, lies
// among the payloads. Verify says what it thinks of it; what is behind it is found.
func TestForgedEndedRecord(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	first, second := p.grant(), p.grant()
	p.addGrant(f, first)
	path := f.path("payloads/0000000001")
	at := int64(len(mustRead(t, path)))
	keyless := appendRecord(nil, 0, 0, nil, nil, noise(64))
	long := appendRecord(nil, 0, 0, []crypto.Hash{{1}}, nil, nil)
	binary.BigEndian.PutUint32(long[4:], 1<<31)
	check := sumOf(long[4 : recordFixed+32])
	copy(long[recordFixed+32:], check[:])
	for _, r := range [][]byte{keyless, long} {
		copy(r, markGone[:])
		p.must(f.write(ctx, func(snapshot) error { return f.ground().payloads.add(r, false) }))
	}
	p.must(f.ground().payloads.look())
	f = reopen(t, f)
	p.addGrant(f, second)
	f = reopen(t, f)
	for _, put := range append(first.puts, second.puts...) {
		p.mustFetch(f, put.Locators[0], put.Blob)
	}
	var damaged *DamagedError
	if _, err := f.Verify(ctx, nil, nil); !errors.As(err, &damaged) || damaged.File != "payloads/0000000001" {
		t.Errorf("%v, behind %d", err, at)
	}
}

// What is erased is not in a segment either that a killed process was making.
func TestErasedNotInUnfinishedSegment(t *testing.T) {
	lane.OneGoroutine(t)
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	v := p.record(70, nil)
	withdrawal := p.withdrawal(v)
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{v.put}))
	mustAppend(t, f, []contract.Entry{v.entry, withdrawal})
	p.must(os.WriteFile(f.path("payloads/0000000002.new"), mustRead(t, f.path("payloads/0000000001")), 0o600))
	p.must(f.store.Erase(ctx, withdrawal))
	if found := filesWith(t, f.dir, v.put.Blob[:32]); len(found) > 0 {
		t.Errorf("the payload is still in %v", found)
	}
	// A stranger's folder of that name keeps nobody from erasing.
	v = p.record(70, nil)
	withdrawal = p.withdrawal(v)
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{v.put}))
	mustAppend(t, f, []contract.Entry{v.entry, withdrawal})
	p.must(os.MkdirAll(f.path("payloads/0000000002.new/theirs"), 0o700))
	p.must(f.store.Erase(ctx, withdrawal))
	if found := filesWith(t, f.dir, v.put.Blob[:32]); len(found) > 0 {
		t.Errorf("the payload is still in %v", found)
	}
}

// A segment that there is no room for does not take what room there is.
func TestNoHalfSegmentIsLeft(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	f = reopenWith(t, f, shortFiles{})
	if err := f.store.PutBlobs(ctx, p.grant().puts); !noRoom(err) {
		t.Fatal(err)
	}
	if left := listed(t, f.dir, "payloads"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// shortFiles are files on a disk that takes half of what is written to a new one.
type shortFiles struct{ systemFiles }

func (x shortFiles) open(path string, flag int, perm os.FileMode) (file, error) {
	f, err := x.systemFiles.open(path, flag, perm)
	if err == nil && flag&os.O_EXCL != 0 {
		f = shortFile{f}
	}
	return f, err
}

type shortFile struct{ file }

func (f shortFile) WriteAt(b []byte, at int64) (int, error) {
	n, _ := f.file.WriteAt(b[:len(b)/2], at)
	return n, syscall.ENOSPC
}

// A process goes on behind what another one could not make durable and cut off again, as
// if it had never seen it.
func TestCutOffAgain(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	first, second, third := p.grant(), p.grant(), p.grant()
	p.addGrant(f, first)
	path := f.path("payloads/0000000001")
	before := mustRead(t, path)
	p.addGrant(f, second)
	other, err := Open(f.dir, Options{Clock: clock.now})
	p.must(err)
	defer other.Close()
	p.mustFetch(other, second.puts[0].Locators[0], second.puts[0].Blob)
	f.Close()
	p.must(os.WriteFile(path, before, 0o600))
	p.must(other.store.PutBlobs(ctx, append(second.puts, third.puts...)))
	mustAppend(t, other, []contract.Entry{third.entry})
	f = reopen(t, other)
	for _, put := range append(append(first.puts, second.puts...), third.puts...) {
		p.mustFetch(f, put.Locators[0], put.Blob)
	}
	mustVerify(t, f)
}
