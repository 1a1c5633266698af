// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/generated"
	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/operation"
)

// operationsPage returns docs/operations.md: the tables of both APIs, by operation.
func operationsPage() string {
	var page strings.Builder
	page.WriteString(`<!-- Made by make generate from the tables of plugin/docker and plugin/kubernetes: do not edit. -->

# Operations

The values of ` + "`api.operation`" + `, the kind of credential that each can leak (` + "`api.credential`" + `), and what has it. All other
requests and events are ` + "`other`" + `; a request of which not even the first line could be read is ` + "`unreadable`" + `.
`)
	section(&page, "Kubernetes", kubernetes.Rows())
	section(&page, "Docker", docker.Rows())
	return page.String()
}

// section writes the table of one API.
func section(page *strings.Builder, title string, rows []operation.Row) {
	of := make(map[operation.Operation][]string)
	var order []operation.Operation
	for _, r := range rows {
		if of[r.Operation] == nil {
			order = append(order, r.Operation)
		}
		of[r.Operation] = append(of[r.Operation], "`"+r.Of+"`")
	}
	slices.SortStableFunc(order, func(a, b operation.Operation) int { return cmp.Compare(a.Name, b.Name) })
	fmt.Fprintf(page, "\n## %s\n\n| operation | can leak | is |\n| --- | --- | --- |\n", title)
	for _, op := range order {
		fmt.Fprintf(page, "| `%s` | %s | %s |\n", op.Name, op.Credential, strings.Join(of[op], ", "))
	}
}

// docs/operations.md is made from the tables; make generate writes it.
func TestOperationsPage(t *testing.T) {
	generated.Compare(t, "../../docs/operations.md", []byte(operationsPage()))
}
