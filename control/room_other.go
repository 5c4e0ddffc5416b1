//go:build !(darwin || freebsd || linux)

package control

// hasRoom believes that there is room where the system is not asked: who does
// not read holds a chunk and a buffer then.
func hasRoom(uintptr) bool { return true }

// hasInput lets the reading wait.
func hasInput(uintptr) bool { return true }

// writeNow leaves all to a write that waits.
func writeNow(uintptr, []byte) int { return 0 }
