package node

import (
	"context"
	"net/http"
	"testing"
)

// Without TLS only this machine is spoken with, whatever a name means; no proxy is
// used, and no redirect followed.
func TestTransport(t *testing.T) {
	inv := invitation()
	w := newWire(&inv, 0)
	if w.http.Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy of the environment is used")
	}
	if err := w.http.CheckRedirect(nil, nil); err != http.ErrUseLastResponse {
		t.Error("redirects are followed")
	}
	plain := context.WithValue(context.Background(), clear{}, true)
	for address, ok := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "127.9.9.9:1": true, "192.0.2.1:80": false, "[2001:db8::1]:80": false, "0.0.0.0:80": false, "nonsense": false} {
		if err := onlyLoopbackInTheClear(plain, "tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
		if err := onlyLoopbackInTheClear(context.Background(), "tcp", address, nil); err != nil {
			t.Errorf("%s with TLS: %v", address, err)
		}
	}
}
