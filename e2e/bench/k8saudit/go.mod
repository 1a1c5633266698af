// The k8saudit plugin, which the benchmark compares with. It is a module of its
// own because it needs other versions than the tests, and a replaced dependency.
module github.com/containerapi/containerapi/e2e/bench/k8saudit

go 1.26.0

tool github.com/falcosecurity/plugins/plugins/k8saudit/plugin

require (
	github.com/alecthomas/jsonschema v0.0.0-20220216202328-9eeeec9d044b // indirect
	github.com/falcosecurity/plugin-sdk-go v0.8.3 // indirect
	github.com/falcosecurity/plugins/plugins/k8saudit v0.18.0 // indirect
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	github.com/iancoleman/orderedmap v0.3.0 // indirect
	github.com/valyala/fastjson v1.6.4 // indirect
	golang.org/x/sys v0.13.0 // indirect
)

// As in k8saudit's own go.mod; a replace is not inherited.
replace github.com/valyala/fastjson => github.com/geraldcombs/fastjson v0.0.0-20250801170450-bf39244e60b8
