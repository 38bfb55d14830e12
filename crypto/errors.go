package crypto

import "github.com/carekey/carekey/crypto/fault"

const (
	ErrAddress   fault.Code = "address-{fault}" // a text is no address. fault, a [Fault]
	ErrFetchCode fault.Code = "code-{fault}"    // a text is no fetch code. fault, a [Fault]
	ErrCard      fault.Code = "card-{fault}"    // a text is no card. fault, a [Fault]

	ErrCardForged fault.Code = "card-forged" // a card is whole, and not what the owner of its address signed

	ErrWordCount fault.Code = "bad-words/count" // not 24 words. count
	// ErrWord: a word is not in the list. position, from 1. The word itself may be
	// almost a word of somebody's backup: it is not in the error.
	ErrWord fault.Code = "bad-words/word"
	// ErrChecksum: all words are in the list, but do not belong together: one is
	// wrong, or their order. The checksum does not tell which. suspects ([]int) are the
	// positions, from 0, where one slip that people make would explain it: a word
	// written for one that differs in one letter, or two neighbours exchanged. Often
	// there are several, or none; a few are there by chance.
	ErrChecksum fault.Code = "bad-words/checksum"

	ErrNotForKey fault.Code = "not-for-you"      // none of a file's stanzas is for the key. stanzas, how many there are
	ErrDamaged   fault.Code = "damaged"          // bytes are not what was once sealed, locked or stored. what: "payload header", for instance
	ErrShare     fault.Code = "malformed/shares" // shares can't be made or used. fault, a [ShareFault]; index, if it is one's fault
	ErrHex       fault.Code = "malformed/hex"    // a text is not lower-case hexadecimal of the right length. what: "hash", for instance; want and got, in characters
)
