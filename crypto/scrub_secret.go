//go:build goexperiment.runtimesecret

package crypto

import "runtime/secret"

// Scrub runs f and overwrites what it leaves behind: the registers and the stack at
// once, and what it allocated when the garbage collector finds that nothing refers
// to it. Goroutines that f starts are not covered.
func Scrub(f func()) { secret.Do(f) }
