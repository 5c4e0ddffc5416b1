// Peer is what torjournal is measured against, each as its own process:
//
//	peer record text|sqlite|nothing TOR SERVES FILE   a recorder with another store
//	peer nats ADDRESS                         a NATS server
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 5 && args[0] == "record":
		err = record(args[1], args[2], args[3], args[4])
	case len(args) == 2 && args[0] == "nats":
		err = serveNATS(args[1])
	default:
		err = fmt.Errorf("unknown arguments %q", args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}
