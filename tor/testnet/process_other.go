//go:build !linux

package testnet

import "syscall"

// setDeathSignal does nothing: elsewhere the owning controller alone ends a
// tor, so one that is paused stays.
func setDeathSignal(*syscall.SysProcAttr) {}
