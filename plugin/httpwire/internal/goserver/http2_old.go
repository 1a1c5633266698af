// SPDX-License-Identifier: Apache-2.0

//go:build !go1.24

package goserver

import "net/http"

// HasHTTP2 reports whether the server can speak HTTP/2 without TLS.
const HasHTTP2 = false

func allowHTTP2(*http.Server) {}
