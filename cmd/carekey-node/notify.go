package main

import (
	"net"
	"os"
)

// notify tells systemd how a service is doing, if it was started by it (see
// sd_notify(3)); otherwise it does nothing.
func notify(state string) {
	addr := os.Getenv("NOTIFY_SOCKET")
	if addr == "" {
		return
	}
	if addr[0] == '@' {
		addr = "\x00" + addr[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		return // nobody is waiting for it
	}
	defer c.Close()
	c.Write([]byte(state))
}
