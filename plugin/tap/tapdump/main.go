// SPDX-License-Identifier: Apache-2.0

// Command tapdump prints what the request tap sees of sockets, a line for each
// record, until it is interrupted:
//
//	go run ./plugin/tap/tapdump /run/docker.sock
//
// An argument is the path of a unix socket or the number of a TCP port. It needs
// what the tap needs: root, or CAP_BPF and CAP_PERFMON, and Linux 5.8 with BTF.
// A plugin that taps the same sockets is not disturbed.
//
// A line has the time in UTC, what happened, the server's (conn) and the
// client's (peer) end of the connection, the process whose system call it was
// (pid), and on connect, sender and accept who the client is.
//
// With -data it has the beginning of what was read, and command lines, as well.
// Requests hold secrets: environment variables, registry passwords, tokens. Show
// such a line to nobody who may not have them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/plugin/tap"
)

// shown is how many bytes of a read -data prints.
const shown = 200

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "tapdump:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("tapdump", flag.ContinueOnError)
	data := flags.Bool("data", false, "print the beginning of what was read, and command lines: they hold secrets")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: tapdump [-data] <path of a unix socket or TCP port>...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return errors.New("name a socket, as /run/docker.sock")
	}
	t, err := tap.Load(tap.Options{})
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Watch(sockets(flags.Args())); err != nil {
		return err
	}
	fmt.Fprintf(out, "watching %q\n", flags.Args())
	return dump(ctx, t, out, *data)
}

func sockets(args []string) []tap.Socket {
	var list []tap.Socket
	for _, arg := range args {
		if port, err := strconv.ParseUint(arg, 10, 16); err == nil {
			list = append(list, tap.Socket{Port: uint16(port)})
		} else {
			list = append(list, tap.Socket{Path: arg})
		}
	}
	return list
}

// dump prints records until the context ends.
func dump(ctx context.Context, t *tap.Tap, out io.Writer, data bool) error {
	defer context.AfterFunc(ctx, func() { _ = t.Interrupt() })()
	var rec tap.Record
	for {
		err := t.ReadInto(&rec)
		if errors.Is(err, tap.ErrInterrupted) {
			break
		} else if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, line(&rec, data)); err != nil {
			return err
		}
	}
	if n := t.Drops(); n > 0 {
		return fmt.Errorf("%d records were lost: more was read from the sockets than could be printed", n)
	}
	return nil
}

func line(rec *tap.Record, data bool) string {
	text := time.Unix(0, rec.Time).UTC().Format("15:04:05.000000 ") + rec.String()
	if data && rec.Process.Args != nil {
		text += fmt.Sprintf(" args=%q", strings.Join(rec.Process.Args, " "))
	}
	if data && len(rec.Data) > 0 {
		text += fmt.Sprintf(" data=%q", rec.Data[:min(len(rec.Data), shown)])
	}
	return text
}
