package contract

import "github.com/carekey/carekey/crypto/fault"

const (
	// ErrRefused is that of a [Refusal], and of a wallet for it. rule, sentence
	ErrRefused fault.Code = "{rule}"
	// ErrConfig: a configuration document is malformed. line, from 1, 0 for the document
	// as a whole; want: what should stand there
	ErrConfig fault.Code = "configuration-tampered/document"
	// ErrContractVersion: a configuration asks for a version of the contract that this
	// package does not know. Software that meets it must stop judging entries of that
	// ledger: it would derive another log than others do. version
	ErrContractVersion fault.Code = "newer-contract"
	ErrPackage         fault.Code = "malformed/package" // bytes are no package, or a number in it is out of its range. what: grant package, record package
	ErrSize            fault.Code = "malformed/size"    // bytes have not the length of what they should hold. what: entry, leaf; got, in bytes
)
