//go:build !linux && !darwin && !freebsd

package folder

func (systemFiles) networkFS(dir string) (string, error) { return "", nil }
