// SPDX-License-Identifier: Apache-2.0

// Command app stands for a workload in captures of system calls: it does what its
// arguments say, and is neither a shell nor a tool that rules know.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// patience is how long it waits for others, which need not come.
const patience = 3 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: app token|tcp|udp|unix|serve|listen|link, and its arguments")
	}
	switch does, what := args[0], args[1]; does {
	case "token":
		_, err := os.ReadFile(what)
		return err
	case "tcp", "udp", "unix":
		conn, err := net.DialTimeout(does, what, patience)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(conn)
		return errors.Join(err, conn.Close())
	case "serve":
		return serve("unix", what)
	case "listen":
		return serve("tcp", what)
	case "link":
		if len(args) < 3 {
			return errors.New("link needs a target and a name")
		}
		return os.Symlink(what, args[2])
	default:
		return fmt.Errorf("does not know %q", does)
	}
}

// serve answers requests for a while, each with an empty list.
func serve(network, address string) error {
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "[]")
	})}
	time.AfterFunc(patience, func() { server.Close() })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
