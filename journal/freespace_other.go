//go:build !(darwin || freebsd || linux)

package journal

import "math"

// freeSpace believes that there is room where the system is not asked: a copy
// that finds none is given up, and the journal stays as it is.
func freeSpace(string) (int64, error) { return math.MaxInt64, nil }
