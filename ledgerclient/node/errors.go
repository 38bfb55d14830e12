package node

import "github.com/carekey/carekey/crypto/fault"

const (
	ErrRefused    fault.Code = "node-{kind}"         // of a [RefusedError]. kind, title, limit
	ErrInvitation fault.Code = "invitation-{fault}"  // a text is no invitation. fault, a [crypto.Fault]
	ErrMember     fault.Code = "member-{fault}"      // a text is no member's line. fault, a [crypto.Fault]; line of the file, if it is in one
	ErrDraft      fault.Code = "draft"               // a text is no draft of a ledger. line, want
	ErrKeyTwice   fault.Code = "draft-key-twice"     // two members have a key in common. first, second: their names
	ErrAlike      fault.Code = "draft-members-alike" // two members have one name, or a URL in common. first, second: their names

	// What came back from a node's URL is no answer of a node. It is found inside an
	// *ledgerclient.UnreachableError: nothing is known of what the node did.
	ErrSlow     fault.Code = "answer-slow"      // slower than 16 KiB/s, or not begun within the wait
	ErrTooLarge fault.Code = "answer-too-large" // more bytes than the question can have in answer. limit
	ErrRedirect fault.Code = "answer-redirect"  // points elsewhere, and was not followed. to, at most 200 characters
	ErrForeign  fault.Code = "answer-foreign"   // no answer of this protocol: another server, or a proxy's error. status of HTTP

	// Who answers at a node's URL is not who the invitation names.
	ErrCertificate fault.Code = "node-certificate"           // want, got: fingerprints
	ErrAuthority   fault.Code = "node-certificate/authority" // no authority vouches for it; they say why
)
