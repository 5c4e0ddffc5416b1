package testnet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStartTor(t *testing.T) {
	for name, opts := range map[string]TorOptions{
		"cookie":   {},
		"password": {Auth: PasswordAuth, Password: `it's "quoted" \ so`},
		"none":     {Auth: NoAuth},
		"socket":   {Socket: true, NoPort: true},
		"both":     {Socket: true, Torrc: []string{"Log notice file /dev/null", "MaxCircuitDirtiness 77"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			node, err := StartTor(ctx, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer node.Close()
			if (node.ControlAddr == "") != opts.NoPort || (node.ControlSocket == "") == opts.Socket {
				t.Errorf("listens on %q and %q", node.ControlAddr, node.ControlSocket)
			}
			reply, err := node.Command(ctx, "GETCONF DisableNetwork MaxCircuitDirtiness")
			if err != nil || !strings.Contains(reply, "DisableNetwork=1") {
				t.Errorf("%q, %v", reply, err)
			}
			if name == "both" && !strings.Contains(reply, "MaxCircuitDirtiness=77") {
				t.Errorf("the added line has no effect: %q", reply)
			}
			if err := node.Restart(ctx); err != nil {
				t.Error(err)
			}
			pid := node.PID()
			if err := node.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Dir(node.Dir)); !os.IsNotExist(err) || alive(pid) {
				t.Errorf("after Close: files %v, process alive %v", err, alive(pid))
			}
			if err := node.Close(); err != nil {
				t.Error("second Close:", err)
			}
		})
	}
}

func TestStartTorWrong(t *testing.T) {
	for name, test := range map[string]struct {
		opts TorOptions
		want string
	}{
		"deaf":   {TorOptions{NoPort: true}, "set Socket"},
		"no tor": {TorOptions{TorPath: "/nonexistent/tor"}, "apt-get install tor"},
	} {
		if node, err := StartTor(t.Context(), test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v; want %q", name, node, err, test.want)
		}
	}
}
