// Command carekey is a wallet for health data in a terminal: it keeps a patient's
// keys, encrypts her records for one named recipient at a time, and signs consents
// and their revocations. A clinician fetches with the same program.
package main

import "os"

func main() { os.Exit(newApp().run(os.Args[1:])) }
