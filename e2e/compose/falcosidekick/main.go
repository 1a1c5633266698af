// SPDX-License-Identifier: Apache-2.0

// Command falcosidekick takes Falcosidekick's place in the demo stack where its
// image cannot be pulled: it prints the alerts that Falco sends, one a line.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("GET /ping", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		alert, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = os.Stdout.Write(append(alert, '\n'))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	log.Fatal(http.ListenAndServe(":2801", nil))
}
