package node

import (
	"net/http"
	"testing"
)

// No proxy is used, and no redirect followed.
func TestTransport(t *testing.T) {
	inv := invitation()
	w := newWire(&inv, 0)
	if w.http.Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy of the environment is used")
	}
	if err := w.http.CheckRedirect(nil, nil); err != http.ErrUseLastResponse {
		t.Error("redirects are followed")
	}
}
