//go:build !linux

package testnet

import "syscall"

// setDeathSignal does nothing: elsewhere the owning controller alone ends a
// tor.
func setDeathSignal(*syscall.SysProcAttr) {}
