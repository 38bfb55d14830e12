// Command carekey is a wallet for health data in a terminal: it keeps a patient's
// keys, encrypts her records for one named recipient at a time, and signs consents
// and their revocations. A clinician fetches with the same program. As
// age-plugin-carekey it opens own records for the age program.
package main

import (
	"os"
	_ "time/tzdata" // days are the person's own: without time zones they would silently be UTC's

	"github.com/carekey/carekey/crypto/crash"
)

func main() {
	a := newApp()
	crash.Handle(func(value any) { os.Exit(a.crashed(value)) })
	os.Exit(a.main(os.Args))
}
