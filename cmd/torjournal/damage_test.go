package main

import (
	"bytes"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// damage does harm to a file, as scripts say it:
//
//	damage FILE block   flips a bit inside the largest block, in every copy of it
//	damage FILE heads   clears the two pages that everything hangs on
//	damage FILE cut     keeps the first quarter only
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage FILE block|heads|cut")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	switch args[1] {
	case "block":
		at, size := 0, 0
		for i := 0; ; {
			n := bytes.Index(b[i:], []byte("tjbk\x01"))
			if n < 0 {
				break
			}
			i += n
			if stored := int(b[i+9])<<16 | int(b[i+10])<<8 | int(b[i+11]); stored > size {
				at, size = i, stored
			}
			i += 4
		}
		block := bytes.Clone(b[at : at+72+size])
		hurt := bytes.Clone(block)
		hurt[72+size/2] ^= 1
		b = bytes.ReplaceAll(b, block, hurt)
	case "heads":
		clear(b[:2*os.Getpagesize()])
	case "cut":
		b = b[:16*os.Getpagesize()]
	default:
		ts.Fatalf("damage: what is %q?", args[1])
	}
	ts.Check(os.WriteFile(path, b, 0o600))
}
