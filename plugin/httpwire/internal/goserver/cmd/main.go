// SPDX-License-Identifier: Apache-2.0

// Command cmd serves the cases that it reads from its input, one after the
// other, and writes what it made of each: both in encoding/gob's form.
package main

import (
	"bufio"
	"encoding/gob"
	"errors"
	"io"
	"log"
	"os"

	"github.com/containerapi/containerapi/plugin/httpwire/internal/goserver"
)

func main() {
	in := gob.NewDecoder(bufio.NewReader(os.Stdin))
	buffered := bufio.NewWriter(os.Stdout)
	out := gob.NewEncoder(buffered)
	for {
		var c goserver.Case
		if err := in.Decode(&c); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(goserver.Serve(c)); err != nil {
			log.Fatal(err)
		}
		if err := buffered.Flush(); err != nil {
			log.Fatal(err)
		}
	}
}
