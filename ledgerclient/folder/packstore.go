package folder

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// The body of a record in a pack of payloads:
//
//	entry     32   id
//	part       1
//	locators   1   how many: 1 or 2
//	names          32 each, see store
//	package    4   its length
//	check      8   of all above
//	package        what the entry commits to
//	payload        the rest
//
// The keys that lead to it are the entry's id and the names of the locators. Only
// grants are packed: what belongs to a record must be removable by itself.
type packedPayload struct {
	id    contract.ID
	part  ledgerclient.Part
	names []string
	pkg   []byte
	blob  []byte
}

const (
	payloadFixed = 32 + 1 + 1 // bytes before the names
	payloadCheck = 8
)

// addPayload appends a payload to a pack.
func (w *packWriter) addPayload(id contract.ID, p *stagedPart, pkg, blob []byte) {
	head := append(append([]byte{}, id[:]...), byte(p.part), byte(len(p.names)))
	keys := []crypto.Hash{crypto.Hash(id)}
	for _, name := range p.names {
		k, _ := unhex(name) // made by locatorName
		keys = append(keys, k)
		head = append(head, k[:]...)
	}
	head = binary.BigEndian.AppendUint32(head, uint32(len(pkg)))
	check := crypto.TaggedHash(crypto.TagPackCheck, head)
	w.add(keys, head, check[:payloadCheck], pkg, blob)
}

// parsePackedHead reads what comes before package and payload and says how long
// it is.
func parsePackedHead(b []byte) (p packedPayload, pkg, n int, ok bool) {
	if len(b) < payloadFixed || b[33] < 1 || b[33] > 2 {
		return p, 0, 0, false
	}
	p.id, p.part = contract.ID(b[:32]), ledgerclient.Part(b[32])
	n = payloadFixed + 32*int(b[33])
	if len(b) < n+4+payloadCheck {
		return p, 0, 0, false
	}
	for at := payloadFixed; at < n; at += 32 {
		p.names = append(p.names, hex.EncodeToString(b[at:at+32]))
	}
	pkg = int(binary.BigEndian.Uint32(b[n:]))
	n += 4
	check := crypto.TaggedHash(crypto.TagPackCheck, b[:n])
	if !bytes.Equal(check[:payloadCheck], b[n:n+payloadCheck]) {
		return p, 0, 0, false
	}
	return p, pkg, n + payloadCheck, pkg <= maxBlob
}

func parsePackedPayload(b []byte) (p packedPayload, ok bool) {
	p, pkg, n, ok := parsePackedHead(b)
	if !ok || len(b)-n < pkg {
		return p, false
	}
	p.pkg, p.blob = b[n:n+pkg], b[n+pkg:]
	return p, true
}

// packedParts returns the payloads of an entry that are in packs, with where they
// are. Those that cannot be read are in broken.
func (s store) packedParts(id contract.ID) (parts []packedPayload, at, broken []packed, err error) {
	found, _, err := s.packs.payloads.find("", crypto.Hash(id))
	if err != nil {
		return nil, nil, nil, err
	}
	for _, r := range found {
		body, held, err := r.body()
		if err != nil && err != errPack {
			return nil, nil, nil, err
		}
		if err == nil && !held {
			continue
		}
		p, ok := parsePackedPayload(body)
		if err != nil || !ok || p.id != id {
			broken = append(broken, r)
			continue
		}
		parts = append(parts, p)
		at = append(at, r)
	}
	return parts, at, broken, nil
}

// packedLocator finds the payload that a locator's name leads to in a pack:
// *ledgerclient.NotFoundError if there is none.
func (s store) packedLocator(name string) (id contract.ID, part ledgerclient.Part, err error) {
	f, p, _, err := s.openPacked(name)
	if err != nil {
		return id, 0, err
	}
	f.Close()
	return p.id, p.part, nil
}

// openPacked opens the pack in which a locator's name leads to a payload. The
// payload is the part of the file that it returns.
func (s store) openPacked(name string) (f *os.File, p packedPayload, payload span, err error) {
	key, ok := unhex(name)
	if !ok {
		return nil, p, payload, &ledgerclient.NotFoundError{What: "payload"}
	}
	found, damaged, err := s.packs.payloads.find("", key)
	if err != nil {
		return nil, p, payload, err
	}
	for _, r := range found {
		f, err := disk.Open(r.pack.path, os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, p, payload, err
		}
		p, payload, ok, err := readPacked(f, r.at, name)
		if ok {
			return f, p, payload, nil
		}
		f.Close()
		if err == errPack {
			damaged = r.pack.path
		} else if err != nil {
			return nil, p, payload, err
		}
	}
	if damaged != "" {
		return nil, p, payload, s.damaged(damaged, "not what was written")
	}
	return nil, p, payload, &ledgerclient.NotFoundError{What: "payload"}
}

// readPacked reads the head of a record to which a locator's name must lead.
func readPacked(f io.ReaderAt, at span, name string) (p packedPayload, payload span, ok bool, err error) {
	m, err := readMark(f, at)
	if err != nil || m != markHeld {
		return p, payload, false, err
	}
	b := make([]byte, min(at.length-markSize, payloadFixed+2*32+4+payloadCheck))
	if _, err := f.ReadAt(b, at.offset+markSize); err != nil {
		return p, payload, false, shortPack(err)
	}
	p, pkg, n, ok := parsePackedHead(b)
	if !ok || !slices.Contains(p.names, name) || at.length-markSize-n < pkg {
		return p, payload, false, errPack
	}
	return p, span{at.offset + markSize + int64(n+pkg), at.length - markSize - n - pkg}, true, nil
}

// packedNames tells whether a pack has a payload with exactly those locators, or
// with others.
func (s store) packedNames(id contract.ID, p *stagedPart) (same, others bool, err error) {
	parts, _, _, err := s.packedParts(id)
	for i := range parts {
		if parts[i].part == p.part {
			same = same || slices.Equal(parts[i].names, p.names)
			others = others || !slices.Equal(parts[i].names, p.names)
		}
	}
	return same, others && !same, err
}

// packedBlob is a payload in a pack, open for reading.
type packedBlob struct {
	*io.SectionReader
	f *os.File
}

func (b packedBlob) Close() error { return b.f.Close() }

// packedBlobAt opens the payload that a locator's name leads to in a pack.
func (s store) packedBlobAt(name string) (ledgerclient.Blob, error) {
	f, _, at, err := s.openPacked(name)
	var none *ledgerclient.NotFoundError
	if errors.As(err, &none) {
		// Another process may have brought it.
		if err := s.packs.payloads.look(); err != nil {
			return nil, err
		}
		f, _, at, err = s.openPacked(name)
	}
	if err != nil {
		return nil, err
	}
	return packedBlob{io.NewSectionReader(f, at.offset, int64(at.length)), f}, nil
}

// packable tells which entries of a stage a pack can take: grants of which the
// store has nothing yet. It is none if they are few.
func (s store) packable(entries []*stagedEntry, puts []ledgerclient.Put, at []int) ([]bool, error) {
	take, count := make([]bool, len(entries)), 0
	for i, e := range entries {
		if e.entry.Kind != contract.KindGrant {
			continue
		}
		there, err := exists(s.blobDir(e.id))
		if err != nil {
			return nil, err
		}
		found, _, err := s.packs.payloads.find("", crypto.Hash(e.id))
		if err != nil {
			return nil, err
		}
		take[i] = !there && len(found) == 0
	}
	for i := range puts {
		if take[at[i]] {
			count++
		}
	}
	if count < packFrom {
		clear(take)
	}
	return take, nil
}
