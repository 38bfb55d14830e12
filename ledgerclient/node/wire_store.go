package node

import (
	"encoding/binary"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// putSize is the size of a put without locators, package and blob.
const putSize = contract.Size + 1 + 1 + 4 + 4

// PutSize is how many bytes a put has in a request.
func PutSize(p *ledgerclient.Put) int {
	return putSize + len(p.Locators)*len(crypto.Locator{}) + len(p.Package) + len(p.Blob)
}

func appendPut(b []byte, p *ledgerclient.Put) []byte {
	e := p.Entry.Marshal()
	b = append(b, e[:]...)
	b = append(b, byte(p.Part), byte(len(p.Locators)))
	for _, loc := range p.Locators {
		b = append(b, loc[:]...)
	}
	b = appendSized(b, p.Package)
	return appendSized(b, p.Blob)
}

func (r *reader) put() ledgerclient.Put {
	var p ledgerclient.Put
	if e := r.next(contract.Size); r.err == nil {
		p.Entry, r.err = contract.ParseEntry(e)
	}
	p.Part = ledgerclient.Part(r.byte())
	r.check(p.Part >= ledgerclient.PartMetadata && p.Part <= ledgerclient.PartAccess)
	n := r.byte()
	r.check(n == 1 || n == 2)
	for range n {
		var loc crypto.Locator
		r.take(loc[:])
		p.Locators = append(p.Locators, loc)
	}
	p.Package = r.sized(MaxPackage)
	p.Blob = r.sized(MaxBlob)
	return p
}

// MarshalPuts encodes payloads one behind the other: entry 222, part 1, number of
// locators 1, locators 32 each, package and blob each behind its length in 4
// bytes. The result holds the locators: they are secret.
func MarshalPuts(puts []ledgerclient.Put) []byte {
	n := 0
	for i := range puts {
		n += PutSize(&puts[i])
	}
	b := make([]byte, 0, n)
	for i := range puts {
		b = appendPut(b, &puts[i])
	}
	return b
}

// ParsePuts decodes 1 to MaxPuts payloads. What it returns shares memory with b.
func ParsePuts(b []byte) ([]ledgerclient.Put, error) {
	r := reader{b: b}
	r.check(len(b) <= MaxPutsSize)
	var puts []ledgerclient.Put
	for r.err == nil && (len(puts) == 0 || len(r.b) > 0) {
		r.check(len(puts) < MaxPuts)
		puts = append(puts, r.put())
	}
	if err := r.end("batch of payloads"); err != nil {
		return nil, err
	}
	return puts, nil
}

// UploadID names an upload that is under way. It is random: who does not know it
// cannot touch the upload.
type UploadID [32]byte

// ParseUploadID reads the 32 bytes of an upload's name.
func ParseUploadID(b []byte) (UploadID, error) {
	if len(b) != len(UploadID{}) {
		return UploadID{}, malformed("upload", errLength)
	}
	return UploadID(b), nil
}

// UploadPart is a piece of a content on its way.
type UploadPart struct {
	Upload UploadID
	Offset uint64 // where Data belongs: behind all that was sent before
	Data   []byte // 1 to MaxPart bytes
}

// Marshal encodes a part: upload 32, offset 8, data.
func (p *UploadPart) Marshal() []byte {
	b := make([]byte, 0, len(p.Upload)+8+len(p.Data))
	b = append(b, p.Upload[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Offset)
	return append(b, p.Data...)
}

// ParseUploadPart decodes a part. Its data shares memory with b.
func ParseUploadPart(b []byte) (UploadPart, error) {
	r := reader{b: b}
	var p UploadPart
	r.take(p.Upload[:])
	p.Offset = r.uint64()
	r.check(p.Offset <= MaxContent && len(r.b) >= 1 && len(r.b) <= MaxPart)
	p.Data = r.next(len(r.b))
	if err := r.end("part of an upload"); err != nil {
		return UploadPart{}, err
	}
	return p, nil
}

// UploadCommit ends an upload: what was sent is the content of Put.Entry.
type UploadCommit struct {
	Upload UploadID
	Put    ledgerclient.Put // without a blob
}

// Marshal encodes a commit: upload 32, then the put as MarshalPuts has it, with
// an empty blob.
func (c *UploadCommit) Marshal() []byte {
	p := c.Put
	p.Blob = nil
	return appendPut(append([]byte(nil), c.Upload[:]...), &p)
}

// ParseUploadCommit decodes a commit.
func ParseUploadCommit(b []byte) (UploadCommit, error) {
	r := reader{b: b}
	var c UploadCommit
	r.take(c.Upload[:])
	c.Put = r.put()
	r.check(c.Put.Part == ledgerclient.PartContent && c.Put.Blob == nil)
	if err := r.end("end of an upload"); err != nil {
		return UploadCommit{}, err
	}
	return c, nil
}
