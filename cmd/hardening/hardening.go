// Package hardening keeps what a program holds in memory from leaving it by way of
// the operating system. Both programs of this project call it before they read a
// key.
//
//	system        core dumps   attaching and /proc/PID/mem, environ by the same user
//	linux         off          refused (PR_SET_DUMPABLE 0), but to root
//	macOS, BSD    off          as the system decides
//	windows       as set       as the system decides
//
// On all of them but Windows, which hands on nothing by itself, the programs that it
// starts get no descriptor that it was started with but the standard streams.
//
// So a debugger cannot be attached to a running carekey on Linux, except by root; a
// program that is started by a debugger can be looked at until it calls Process.
// There is no switch to leave it out: build a test instead.
//
// What Go prints of a panic, and at SIGQUIT, is a way out too: see Signals and Broken.
package hardening
