package node

import (
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// PutsForm is of 1 to MaxPuts payloads. It holds the locators: they are secret.
var PutsForm = list("batch of payloads", 1, MaxPuts, put)

// putSize is how many bytes a put has in a request.
func putSize(p *ledgerclient.Put) int {
	return contract.Size + 1 + 1 + len(p.Locators)*len(crypto.Locator{}) + 4 + len(p.Package) + 4 + len(p.Blob)
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

// UploadID names an upload that is under way. It is random: who does not know it
// cannot touch the upload.
type UploadID [32]byte

// UploadIDForm is of its 32 bytes.
var UploadIDForm = Form[UploadID]{"upload", func(c *codec.Codec, id *UploadID) { c.Bytes(id[:]) }}

// UploadBegun is the answer to a new upload.
type UploadBegun struct {
	Upload UploadID
	Most   uint64 // bytes that the node takes, 1 to MaxContent
}

// UploadBegunForm is of upload 32, most 8.
var UploadBegunForm = Form[UploadBegun]{"answer to an upload", func(c *codec.Codec, u *UploadBegun) {
	c.Bytes(u.Upload[:])
	codec.Int(c, &u.Most)
	c.Check(u.Most >= 1 && u.Most <= MaxContent)
}}

// UploadPart is a piece of a content on its way.
type UploadPart struct {
	Upload UploadID
	Offset uint64 // where Data belongs: behind all that was sent before
	Data   []byte // 1 to MaxPart bytes
}

// UploadPartForm is of upload 32, offset 8, data.
var UploadPartForm = Form[UploadPart]{"part of an upload", func(c *codec.Codec, p *UploadPart) {
	c.Bytes(p.Upload[:])
	codec.Int(c, &p.Offset)
	c.Check(p.Offset <= MaxContent)
	c.Rest(&p.Data, 1, MaxPart)
}}

// UploadCommit ends an upload: what was sent is the content of Put.Entry.
type UploadCommit struct {
	Upload UploadID
	Put    ledgerclient.Put // without a blob
}

// UploadCommitForm is of upload 32, then the put as PutsForm has it, with an empty
// blob.
var UploadCommitForm = Form[UploadCommit]{"end of an upload", func(c *codec.Codec, u *UploadCommit) {
	c.Bytes(u.Upload[:])
	put(c, &u.Put)
	c.Check(u.Put.Part == ledgerclient.PartContent && u.Put.Blob == nil)
}}
