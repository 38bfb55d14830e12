package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// unitText is the service for systemd: the folder, the program and the arguments of
// serve go in. What a node does not need is taken from it.
const unitText = `# carekey-node as a systemd service. As root:
#
#	useradd --system --home-dir %[1]s --shell /usr/sbin/nologin carekey-node
#	chown -R carekey-node: %[1]s
#	carekey-node unit %[1]s >/etc/systemd/system/carekey-node.service
#	systemctl enable --now carekey-node
#
[Unit]
Description=carekey node
After=network-online.target time-sync.target
Wants=network-online.target time-sync.target

[Service]
Type=notify
User=carekey-node
ExecStart=%[2]s serve %[1]s --listen %[3]s%[4]s
Restart=on-failure
RestartSec=5
TimeoutStopSec=60
LimitNOFILE=65536
UMask=0077

ReadWritePaths=%[1]s
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=%[5]s
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
NoNewPrivileges=yes
CapabilityBoundingSet=%[6]s
AmbientCapabilities=%[6]s
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`

func newUnit(a *app) *cobra.Command {
	var listen, metrics string
	c := &cobra.Command{
		Use:   "unit DIR [--listen ADDRESS] [--metrics ADDRESS]",
		Short: "Print a systemd unit that serves the folder",
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if strings.ContainsAny(dir+self+listen+metrics, " \t\n\"'%$\\") {
				return usage("a unit cannot name paths with blanks, quotes, % or $", "use another folder")
			}
			more, users, capability := "", "yes", ""
			if metrics != "" {
				more = " --metrics " + metrics
			}
			if _, port, ok := strings.Cut(listen[strings.LastIndexByte(listen, ']')+1:], ":"); ok && lowPort(port) {
				users, capability = "no", "CAP_NET_BIND_SERVICE"
			}
			text := fmt.Sprintf(unitText, dir, self, listen, more, users, capability)
			if a.flags.json {
				return a.result(unitJSON{text})
			}
			fmt.Fprint(a.out, text)
			return nil
		},
	}
	c.Flags().StringVar(&listen, "listen", ":"+defaultPort, "`ADDRESS` to serve at")
	c.Flags().StringVar(&metrics, "metrics", "", "`ADDRESS` on this computer for /healthz and /metrics")
	return c
}

type unitJSON struct {
	Unit string `json:"unit"`
}

// lowPort tells whether a port is one that needs a privilege.
func lowPort(port string) bool {
	var n int
	_, err := fmt.Sscanf(port, "%d", &n)
	return err == nil && n > 0 && n < 1024
}
