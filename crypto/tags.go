package crypto

// A Tag names the one purpose of a hash, a signed digest or a derived key. No two
// purposes share one, so that bytes made for one are worthless for another. A tag
// is printable ASCII, begins with "carekey/v1/" and contains no zero byte.
type Tag string

// Tags of the keys of a person.
const (
	TagRoot     Tag = "carekey/v1/root"      // entropy → root
	TagSignKey  Tag = "carekey/v1/sign-key"  // root → address key s
	TagViewKey  Tag = "carekey/v1/view-key"  // root → address key v
	TagSelfKey  Tag = "carekey/v1/self-key"  // root → key of one's own stanza
	TagLocalKey Tag = "carekey/v1/local-key" // root → key of the local state
	TagSelfTag  Tag = "carekey/v1/self-tag"  // root → AES key of the self-tags on one ledger
)

// Tags of the keys of an entry and its thread.
const (
	TagSeed           Tag = "carekey/v1/seed"            // root, ledger, nonce → seed
	TagThreadKey      Tag = "carekey/v1/thread-key"      // seed → a
	TagLockKey        Tag = "carekey/v1/lock-key"        // seed → K
	TagLockHash       Tag = "carekey/v1/lock-hash"       // commitment to K
	TagLock           Tag = "carekey/v1/lock"            // K → AEAD key of a locked envelope
	TagSplit          Tag = "carekey/v1/split"           // seed → polynomials of the shares of K
	TagShare          Tag = "carekey/v1/share"           // commitment to a share
	TagSealedShare    Tag = "carekey/v1/sealed-share"    // HPKE info of a share on its way to a recipient
	TagOwnLocator     Tag = "carekey/v1/own-locator"     // seed → locator of a payload for its author
	TagContentLocator Tag = "carekey/v1/content-locator" // seed → locator of a record's content
)

// Tags of the keys between a grantor and a recipient.
const (
	TagStealthSign    Tag = "carekey/v1/stealth-sign"    // ECDH → h_sig
	TagStealthSeal    Tag = "carekey/v1/stealth-seal"    // ECDH → h_seal
	TagStealthLocator Tag = "carekey/v1/stealth-locator" // ECDH → h_loc
	TagTheirLocator   Tag = "carekey/v1/their-locator"   // h_loc → locator of a payload for the other side
)

// Tags of sealed and stored bytes.
const (
	TagPayload Tag = "carekey/v1/payload" // HPKE info of a sealed payload
	TagRecord  Tag = "carekey/v1/record"  // HPKE info of a record's content
	TagBlob    Tag = "carekey/v1/blob"    // hash of a blob
)

// Tags of the parts of a record.
const (
	TagPartsSeed  Tag = "carekey/v1/parts-seed"  // seed of a version's entry → seed of its parts
	TagPartsSalts Tag = "carekey/v1/parts-salts" // seed of the parts → seed of their salts, if no issuer gave it
	TagPartsFrame Tag = "carekey/v1/parts-frame" // seed of the parts → key of the frame
	TagPartSalt   Tag = "carekey/v1/part-salt"   // seed of the salts → salt of a part
	TagPartNone   Tag = "carekey/v1/part-none"   // seed of the salts → leaf of no part
	TagPart       Tag = "carekey/v1/part"        // leaf of a part
	TagPartOf     Tag = "carekey/v1/part-of"     // what a narrative's part names its resource's by
	TagPartKey    Tag = "carekey/v1/part-key"    // seed of the parts → key of a part
	TagPartCipher Tag = "carekey/v1/part-cipher" // key of a part → AEAD key
)

// Tags of links.
const (
	TagLinkID   Tag = "carekey/v1/link-id"   // seed of the grant → id
	TagLinkKey  Tag = "carekey/v1/link-key"  // seed of the grant → key
	TagLinkRoot Tag = "carekey/v1/link-root" // id → root of the link's wallet
	TagLinkSeal Tag = "carekey/v1/link-seal" // key → what terms and envelope are sealed to
	TagLinkIV   Tag = "carekey/v1/link-iv"   // seed of the grant, content → nonce of the JWE
	TagLinkFile Tag = "carekey/v1/link-file" // K → key of what a node keeps of the link
	TagLinkName Tag = "carekey/v1/link-name" // a node's name for a link
)

// Tags of what people read to each other.
const (
	TagAddress            Tag = "carekey/v1/address"             // signed by S: S and V belong together
	TagAddressChecksum    Tag = "carekey/v1/address-checksum"    // last 4 bytes of an address
	TagAddressWords       Tag = "carekey/v1/address-words"       // check words of an address
	TagCard               Tag = "carekey/v1/card"                // signed by S: a card
	TagCardChecksum       Tag = "carekey/v1/card-checksum"       // last 4 bytes of a card
	TagFetchCodeChecksum  Tag = "carekey/v1/fetch-code-checksum" // last 4 bytes of a fetch code
	TagInvitationChecksum Tag = "carekey/v1/invitation-checksum" // last 4 bytes of an invitation to a node
	TagMemberChecksum     Tag = "carekey/v1/member-checksum"     // last 4 bytes of a member's line
)

// Tags of the contract: entries, their chains and what they commit to.
const (
	TagLedger        Tag = "carekey/v1/ledger"         // genesis configuration document → ledger id
	TagDraft         Tag = "carekey/v1/draft"          // draft of a ledger → random bytes of its genesis document
	TagEntry         Tag = "carekey/v1/entry"          // id of an entry, and the digest that is signed
	TagChain         Tag = "carekey/v1/chain"          // chain over a thread's follow-ups
	TagConfig        Tag = "carekey/v1/config"         // commitment to a configuration document
	TagConfigApprove Tag = "carekey/v1/config-approve" // signed by nodes: the next configuration
	TagGrantPackage  Tag = "carekey/v1/grant-package"  // commitment of a grant
	TagRecordPackage Tag = "carekey/v1/record-package" // commitment of a record
	TagAccessPackage Tag = "carekey/v1/access-package" // commitment of an access
)

// Tags of the ledger's services: stores and keepers.
const (
	TagLocator         Tag = "carekey/v1/locator"         // a store's name for a locator
	TagDeposit         Tag = "carekey/v1/deposit"         // signed by a grant's author
	TagReceipt         Tag = "carekey/v1/receipt"         // signed by a keeper
	TagRequest         Tag = "carekey/v1/request"         // signed by a grant's counterparty
	TagRequestHash     Tag = "carekey/v1/request-hash"    // a whole request, named in its answer
	TagAnswer          Tag = "carekey/v1/answer"          // signed by a keeper
	TagAcknowledgement Tag = "carekey/v1/acknowledgement" // signed by a keeper
	TagInquiry         Tag = "carekey/v1/fresh-inquiry"   // signed by a grant's author; carekey/v1/inquiry had no nonce and is retired
	TagStateInquiry    Tag = "carekey/v1/state-inquiry"   // signed by a grant's author or counterparty
	TagInquiryHash     Tag = "carekey/v1/inquiry-hash"    // a whole inquiry, named in its answer
	TagInquiryAnswer   Tag = "carekey/v1/inquiry-answer"  // signed by a keeper
	TagLinkDeposit     Tag = "carekey/v1/link-deposit"    // signed by a grant's author
	TagLinkReceipt     Tag = "carekey/v1/link-receipt"    // signed by a keeper
	TagLinkInquiry     Tag = "carekey/v1/link-inquiry"    // signed by a grant's author
	TagLinkAnswer      Tag = "carekey/v1/link-answer"     // signed by a keeper
	// carekey/v1/submit-token was the hash of a token that one node knew, and is retired.
	TagToken           Tag = "carekey/v1/token"            // signed by an institution: a submit token
	TagTokenShown      Tag = "carekey/v1/token-shown"      // signed by a token's key: it is shown to one node
	TagTokensWithdrawn Tag = "carekey/v1/tokens-withdrawn" // signed by an institution: tokens that it has taken back
	TagSite            Tag = "carekey/v1/site"             // signed by an institution and its keeper: where they are reached
	TagCopyRequest     Tag = "carekey/v1/copy-request"     // signed by an institution: its node asks another for a payload
)

// Tags of an order that several institutions keep, see ledgerclient/cometbft.
const (
	TagEnvelope   Tag = "carekey/v1/order-envelope" // signed by a node's checkpoint key: entries to be ordered
	TagOrderState Tag = "carekey/v1/order-state"    // what the institutions agree upon with each block
)

// Tags of the wallet.
const (
	TagTerms     Tag = "carekey/v1/terms"      // signed by S: the terms of a grant
	TagAttest    Tag = "carekey/v1/attest"     // signed by S: what an issuer says of a file
	TagBook      Tag = "carekey/v1/book"       // what of the book stands on a ledger, compared on this machine only
	TagProfile   Tag = "carekey/v1/profile"    // name of a profile on this machine
	TagPlanScope Tag = "carekey/v1/plan-scope" // what a batch plan was made on

	TagAttestDetail Tag = "carekey/v1/attest-detail" // what of that only who has the whole file is told

	TagHeldKey     Tag = "carekey/v1/held-key"     // name of an unlocked key file on this machine
	TagAgeIdentity Tag = "carekey/v1/age-identity" // name of a wallet in an identity for age
	TagFHIRPatient Tag = "carekey/v1/fhir-patient" // id of a person in an export
	TagFHIREvent   Tag = "carekey/v1/fhir-event"   // id of what happened to a consent in an export
)
