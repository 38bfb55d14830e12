package node

import (
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// putSize is the size of a put without locators, package and blob.
const putSize = contract.Size + 1 + 1 + 4 + 4

// PutSize is how many bytes a put has in a request.
func PutSize(p *ledgerclient.Put) int {
	return putSize + len(p.Locators)*len(crypto.Locator{}) + len(p.Package) + len(p.Blob)
}

// put is entry 222, part 1, number of locators 1, locators 32 each, package and blob
// each behind its length in 4 bytes.
func put(c *codec.Codec, p *ledgerclient.Put) {
	ledgerclient.EntryField(c, &p.Entry)
	codec.Int(c, &p.Part)
	c.Check(p.Part >= ledgerclient.PartMetadata && p.Part <= ledgerclient.PartAccess)
	codec.Counted[uint8](c, &p.Locators, 2, func(c *codec.Codec, l *crypto.Locator) { c.Bytes(l[:]) })
	c.Check(len(p.Locators) > 0)
	codec.Sized[uint32](c, &p.Package, MaxPackage)
	codec.Sized[uint32](c, &p.Blob, MaxBlob)
}

// MarshalPuts encodes payloads one behind the other. The result holds the locators:
// they are secret.
func MarshalPuts(puts []ledgerclient.Put) []byte {
	n := 0
	for i := range puts {
		n += PutSize(&puts[i])
	}
	return marshalAll(make([]byte, 0, n), puts, put)
}

// ParsePuts decodes 1 to MaxPuts payloads. What it returns shares memory with b.
func ParsePuts(b []byte) ([]ledgerclient.Put, error) {
	if len(b) > MaxPutsSize {
		return nil, malformed("batch of payloads", codec.ErrRange)
	}
	return parseAll("batch of payloads", b, 1, MaxPuts, put)
}

// UploadID names an upload that is under way. It is random: who does not know it
// cannot touch the upload.
type UploadID [32]byte

// ParseUploadID reads the 32 bytes of an upload's name.
func ParseUploadID(b []byte) (UploadID, error) {
	return parseOne("upload", b, func(c *codec.Codec, id *UploadID) { c.Bytes(id[:]) })
}

// UploadBegun is the answer to a new upload.
type UploadBegun struct {
	Upload UploadID
	Most   uint64 // bytes that the node takes, 1 to MaxContent
}

func uploadBegun(c *codec.Codec, u *UploadBegun) {
	c.Bytes(u.Upload[:])
	codec.Int(c, &u.Most)
	c.Check(u.Most >= 1 && u.Most <= MaxContent)
}

// Marshal encodes the answer: upload 32, most 8.
func (u *UploadBegun) Marshal() []byte { return marshal(u, uploadBegun) }

// ParseUploadBegun decodes the answer to a new upload.
func ParseUploadBegun(b []byte) (UploadBegun, error) {
	return parseOne("answer to an upload", b, uploadBegun)
}

// UploadPart is a piece of a content on its way.
type UploadPart struct {
	Upload UploadID
	Offset uint64 // where Data belongs: behind all that was sent before
	Data   []byte // 1 to MaxPart bytes
}

func uploadPart(c *codec.Codec, p *UploadPart) {
	c.Bytes(p.Upload[:])
	codec.Int(c, &p.Offset)
	c.Check(p.Offset <= MaxContent)
	c.Rest(&p.Data, 1, MaxPart)
}

// Marshal encodes a part: upload 32, offset 8, data.
func (p *UploadPart) Marshal() []byte {
	return marshalAll(make([]byte, 0, len(p.Upload)+8+len(p.Data)), []UploadPart{*p}, uploadPart)
}

// ParseUploadPart decodes a part. Its data shares memory with b.
func ParseUploadPart(b []byte) (UploadPart, error) {
	return parseOne("part of an upload", b, uploadPart)
}

// UploadCommit ends an upload: what was sent is the content of Put.Entry.
type UploadCommit struct {
	Upload UploadID
	Put    ledgerclient.Put // without a blob
}

func uploadCommit(c *codec.Codec, u *UploadCommit) {
	c.Bytes(u.Upload[:])
	put(c, &u.Put)
	c.Check(u.Put.Part == ledgerclient.PartContent && u.Put.Blob == nil)
}

// Marshal encodes a commit: upload 32, then the put as MarshalPuts has it, with
// an empty blob.
func (u UploadCommit) Marshal() []byte {
	u.Put.Blob = nil
	return marshal(&u, uploadCommit)
}

// ParseUploadCommit decodes a commit.
func ParseUploadCommit(b []byte) (UploadCommit, error) {
	return parseOne("end of an upload", b, uploadCommit)
}
