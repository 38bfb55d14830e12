//go:build !linux && !darwin && !freebsd

package folder

// networkFS cannot tell network file systems on this system.
func networkFS(dir string) (string, error) { return "", nil }
