package lane

import (
	"syscall"
	"time"
)

// Spent is what this process has used of the processors.
func Spent() time.Duration {
	var created, ended, kernel, user syscall.Filetime
	h, err := syscall.GetCurrentProcess()
	if err == nil {
		err = syscall.GetProcessTimes(h, &created, &ended, &kernel, &user)
	}
	if err != nil {
		panic(err)
	}
	span := func(t syscall.Filetime) time.Duration {
		return 100 * time.Duration(int64(t.HighDateTime)<<32+int64(t.LowDateTime))
	}
	return span(kernel) + span(user)
}
