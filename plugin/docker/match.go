// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"net/url"
	"path"
	"strings"
)

// find returns the route that dockerd takes for a request, and what stands in
// the place of the pattern's first variable, decoded; nil if there is none.
//
// A request that dockerd answers with 404, 400, or with a redirect because its
// path is not clean ("//info"), has no route.
func find(method, target string) (*row, string) {
	path, ok := routerPath(target)
	if !ok {
		return nil, ""
	}
	for _, r := range index[routeKey{method, firstSegment(path)}] {
		if object, ok := match(r.pieces, path); ok {
			return r.row, object
		}
	}
	return nil, ""
}

// routerPath returns the path that dockerd's router sees, without the version,
// or false if the request does not come to a route.
func routerPath(target string) (string, bool) {
	target, _, _ = strings.Cut(target, "?")
	p := target
	if !strings.HasPrefix(target, "/") || strings.Contains(target, "%") {
		// Rare, so net/http's own parser and its allocations are welcome.
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return "", false
		}
		p = u.Path
		// In dockerd's patterns, "." is any character but this one.
		if strings.Contains(p, "\n") {
			return "", false
		}
	}
	if !isClean(p) {
		return "", false
	}
	_, p = cutVersion(p)
	return p, true
}

// isClean says if the router takes a path as it is. From cleanPath in
// github.com/gorilla/mux: a trailing slash stays.
func isClean(p string) bool {
	if !strings.HasPrefix(p, "/") {
		return false
	}
	if p != "/" {
		p = strings.TrimSuffix(p, "/")
	}
	return path.Clean(p) == p
}

// cutVersion cuts "/v{version:[0-9.]+}" off the beginning of a path. Without
// one the version is "".
func cutVersion(p string) (version, rest string) {
	version, ok := strings.CutPrefix(p, "/v")
	if !ok {
		return "", p
	}
	rest = strings.TrimLeft(version, "0123456789.")
	if len(rest) == len(version) || !strings.HasPrefix(rest, "/") {
		return "", p
	}
	return version[:len(version)-len(rest)], rest
}

// splitTarget returns the path of a request target, still escaped, without the
// version of the API, and the version. Of a target that is neither a path nor
// a URL it returns nothing: who knows what is in it.
func splitTarget(target string) (path, version string) {
	path, _, _ = strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return "", ""
		}
		path = u.EscapedPath()
	}
	version, rest := cutVersion(path)
	if version == "" {
		return path, ""
	}
	// The engine takes one version off. What is left must not look as if it
	// had none.
	if decoded, err := url.PathUnescape(rest); err == nil {
		if again, _ := cutVersion(decoded); again != "" {
			return path, ""
		}
	}
	return rest, version
}

// firstSegment returns "containers" of "/containers/json".
func firstSegment(p string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	return segment
}

// routeKey narrows the search for a route. Patterns never begin with a
// variable.
type routeKey struct{ method, segment string }

type indexedRow struct {
	*row
	pieces []piece
}

// piece is a part of a pattern: literal text, then a variable or the end.
type piece struct {
	literal  string
	variable variable
}

type variable int

const (
	noVariable variable = iota // the end
	oneSegment                 // {name}: text without a slash, never empty
	anyText                    // {name:.*}
	someText                   // {name:.+}
)

var index = indexOf(routes)

func indexOf(routes []row) map[routeKey][]indexedRow {
	index := make(map[routeKey][]indexedRow)
	for i := range routes {
		r := &routes[i]
		key := routeKey{r.method, firstSegment(r.pattern)}
		index[key] = append(index[key], indexedRow{r, pieces(r.pattern)})
	}
	return index
}

// pieces takes a pattern apart. The last piece has no variable.
func pieces(pattern string) []piece {
	var ps []piece
	for {
		literal, rest, found := strings.Cut(pattern, "{")
		if !found {
			return append(ps, piece{literal, noVariable})
		}
		name, rest, _ := strings.Cut(rest, "}")
		kind := oneSegment
		switch {
		case strings.HasSuffix(name, ":.*"):
			kind = anyText
		case strings.HasSuffix(name, ":.+"):
			kind = someText
		}
		ps = append(ps, piece{literal, kind})
		pattern = rest
	}
}

// match says if a path has the form of a pattern, and returns the value of its
// first variable. A variable that can hold slashes is the last one of its
// pattern.
func match(ps []piece, path string) (id string, ok bool) {
	for i, p := range ps {
		path, ok = strings.CutPrefix(path, p.literal)
		if !ok {
			return "", false
		}
		var value string
		switch p.variable {
		case noVariable:
			return id, path == ""
		case oneSegment:
			n := strings.IndexByte(path, '/')
			if n < 0 {
				n = len(path)
			}
			value, path = path[:n], path[n:]
			if value == "" {
				return "", false
			}
		case anyText, someText:
			suffix := ps[i+1].literal
			value, ok = strings.CutSuffix(path, suffix)
			if !ok || p.variable == someText && value == "" {
				return "", false
			}
			path = suffix
		}
		if i == 0 {
			id = value
		}
	}
	return "", false
}
