package order

import "github.com/carekey/carekey/crypto/fault"

const (
	// ErrUnknown: nothing is known about what a backend did with an append: it gave no
	// answer, or none that makes sense. The same entries may be appended again.
	ErrUnknown fault.Code = "order-unknown"
	// ErrBroken: a backend broke a rule of this package: what it says cannot be an
	// order, or not the one that it showed before. Nothing more is taken from it.
	// position of the item, or of the head; what, a [Broken]
	ErrBroken fault.Code = "order-broken"
	// ErrAnother: a backend keeps the order of one ledger alone, and that is another one.
	// want, got
	ErrAnother fault.Code = "order-another"

	// Of a [ProgramError]. program, fault, text
	ErrProgram   fault.Code = "order-program"
	ErrNoProgram fault.Code = "order-program-missing"
	ErrNoURL     fault.Code = "usage/order" // not that of a backend
)
