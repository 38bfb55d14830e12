//go:build !linux && !darwin && !freebsd

package disk

// NetworkFS returns "": it is not known here.
func NetworkFS(dir string) (string, error) { return "", nil }
