package main

import (
	"fmt"
	"strings"
	"testing"
)

// Which proxies may say for whom they ask is the operator's word; without TLS only this
// computer can ask, and who does is a proxy on it.
func TestProxies(t *testing.T) {
	for _, test := range []struct {
		names []string
		plain bool
		want  string
	}{
		{nil, false, "[]"},
		{nil, true, "[127.0.0.0/8 ::1/128]"},
		{[]string{}, true, "[]"},
		{[]string{"192.0.2.7", "10.0.0.0/8", "2001:db8::/32"}, true, "[192.0.2.7/32 10.0.0.0/8 2001:db8::/32]"},
		{[]string{"proxy.example"}, false, "error"},
		{[]string{"10.0.0.0/99"}, false, "error"},
		{[]string{""}, false, "error"},
	} {
		c := &config{Version: 1, URLs: []string{"https://127.0.0.1:8443"}, Proxies: test.names}
		c.TLS.Certificate, c.TLS.Key = certificate, privateKey
		out, err := c.proxies(test.plain)
		got := fmt.Sprint(out)
		if err != nil {
			got = "error"
		}
		if got != test.want {
			t.Errorf("%q: %s, %v", test.names, got, err)
		}
		if what := c.wrong(); strings.HasPrefix(what, "proxies: ") != (err != nil) || err == nil && what != "" {
			t.Errorf("%q: %q", test.names, what)
		}
	}
}
