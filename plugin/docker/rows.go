// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"regexp"
	"slices"

	"github.com/containerapi/containerapi/plugin/operation"
)

// expression is the regular expression of a variable in a pattern.
var expression = regexp.MustCompile(`:\.[*+]`)

// Rows returns what the tables of routes and events say, in their order and
// sorted, for documentation.
func Rows() []operation.Row {
	var rows []operation.Row
	for i := range routes {
		r := &routes[i]
		rows = append(rows, operation.Row{Operation: r.meaning(), Of: r.method + " " + expression.ReplaceAllString(r.pattern, "")})
	}
	first := len(rows)
	for key, r := range events {
		rows = append(rows, operation.Row{Operation: operation.Operation{Name: r.operation, Credential: r.credential}, Of: "event " + key.typ + " " + key.action})
	}
	slices.SortFunc(rows[first:], func(a, b operation.Row) int { return cmp.Compare(a.Of, b.Of) })
	return rows
}
