//go:build !goexperiment.runtimesecret

package crypto

// Scrub runs f. Built with GOEXPERIMENT=runtimesecret, on Linux for amd64 and arm64,
// it also overwrites what f leaves behind: the registers and the stack at once, and
// what it allocated when the garbage collector finds that nothing refers to it.
func Scrub(f func()) { f() }
