# SPDX-License-Identifier: Apache-2.0

CACHE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/containerapi
CHECKS := $(CACHE)/bin/staticcheck
# How long make fuzz searches with each fuzz test.
FUZZTIME ?= 20s
# The modules of this repository: the plugin, and what tries it on real parts.
MODULES := . e2e
# The clang that compiles the eBPF program. Another major version makes other
# objects than the committed ones. Debian 12 and 13 and Ubuntu 24.04 have this one.
export CLANG_MAJOR := 19
# The tests that with -update write the files that they otherwise compare.
UPDATED = $(shell grep -rl --include='*_test.go' internal/generated plugin rules | xargs -n 1 dirname | sort -u | sed 's|^|./|')

.PHONY: help build test unit fuzz e2e pages field demo recordings captures bench load package loads lint generate objects bpf clang setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build libcontainerapi.so, and libcontainerapi-extract.so for use beside k8saudit
	CGO_ENABLED=1 go build -buildmode=c-shared -trimpath -ldflags "-s -w" -o libcontainerapi.so ./plugin
	CGO_ENABLED=1 go build -tags extract -buildmode=c-shared -trimpath -ldflags "-s -w" -o libcontainerapi-extract.so ./plugin
	@rm -f libcontainerapi.h libcontainerapi-extract.h

test: setup lint objects unit build e2e ## all of it: lint, unit tests with the fuzz tests' seeds, end-to-end tests

# One package at a time: some tests measure time, and some fill both cores.
unit: ## unit tests under the race detector
	go test -race -p 1 ./...
	go test -race -tags extract ./plugin

fuzz: ## search with each fuzz test for FUZZTIME (what it finds becomes a seed)
	@go list -f '{{.ImportPath}} {{.TestGoFiles}} {{.XTestGoFiles}}' ./... | grep _test.go | while read -r package _; do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz'); do \
			echo "fuzz $$package $$target for $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -parallel 2 "$$package" >fuzz.log 2>&1 || \
				{ cat fuzz.log; rm -f fuzz.log; exit 1; }; \
		done || exit 1; \
	done
	@rm -f fuzz.log

e2e: build ## end-to-end tests: a real engine, kube-apiserver and dockerd (after make setup)
	cd e2e && go test -v -p 1 -count=1 -timeout 30m ./...

field: build ## what honest software and thieves of its identities raise (FIELD='-docker -write', -v or '-record NAME ...')
	cd e2e && go run ./cmd/field $(or $(FIELD),-write)

demo: ## attacks on real containers and the alerts that they raise
	cd e2e && go run ./cmd/setup -demo
	@$(MAKE) --no-print-directory build
	cd e2e && go run ./cmd/demo

recordings: ## make the recorded audit events again, in a new directory (RECORD='-out DIRECTORY NAME ...')
	cd e2e && go run ./cmd/record $(RECORD)

captures: ## make captures of system calls again, with the modern eBPF probe of the Falco named in FALCO (RECORD as above)
	cd e2e && go run ./cmd/record -captures $(RECORD)

bench: build setup ## events per second, beside k8saudit
	cd e2e && go run ./bench

load: build setup ## 20,000 requests of 50 clients beside 100 MB/s of others
	cd e2e && go test -v -count=1 -run '^TestLoad$$' . -load-requests 20000 -load-junk 100

package: build setup ## make the release files in dist, and install them with falcoctl
	go run ./packaging -out dist
	cd e2e && go test -v -count=1 ./falcoctl

# For another architecture: make build loads GOARCH=arm64 CC=aarch64-linux-gnu-gcc EMULATOR='qemu-aarch64 -L /usr/aarch64-linux-gnu'
loads: ## load the libraries that were built, and ask for what a plugin must say of itself
	@program=$$(mktemp) && $(CC) -o $$program packaging/loads/loads.c -ldl && \
		for library in containerapi containerapi-extract; do $(EMULATOR) $$program ./lib$$library.so $$library || exit 1; done; \
		status=$$?; rm -f $$program; exit $$status

lint: $(CHECKS) ## go vet, staticcheck, gofmt, licence headers
	@for module in $(MODULES); do (cd $$module && echo "lint $$module" && go vet ./... && $(CHECKS) ./...) || exit 1; done
	@go vet -tags extract ./plugin
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted, run gofmt -w:"; echo "$$unformatted"; exit 1; }
	@bare=$$(find . -path ./.git -prune -o -type f \( -name '*.go' -o -name '*.[ch]' -o -name '*.sh' -o -name '*.lua' \
		-o -name '*.y*ml' -o -name Makefile -o -path ./.ci/run \) ! -path '*/testdata/fuzz/*' ! -name '*_bpfel.go' -print | \
		while read -r file; do head -n 3 "$$file" | grep -q 'SPDX-License-Identifier: .*Apache-2.0' || echo "$$file"; done); \
		test -z "$$bare" || { echo "no licence header:"; echo "$$bare"; exit 1; }

$(CHECKS): go.mod
	@echo "build staticcheck"
	GOBIN=$(CACHE)/bin go install honnef.co/go/tools/cmd/staticcheck

generate: pages bpf ## make all committed files that are made from others: pages, rules, eBPF objects

pages: ## make the pages and rules that are made from others, which needs no clang
	go test -count=1 $(UPDATED) -update

# That all else of it is current is checked by the same tests without -update.
objects: ## check that the committed eBPF objects are what their source compiles to
	@old=$$(mktemp -d) && cp plugin/tap/*_bpfel.* $$old/ && $(MAKE) --no-print-directory bpf && \
		for file in $$old/*; do \
			cmp $$file plugin/tap/$${file##*/} || { echo "plugin/tap/$${file##*/} was not what its source compiles to with" \
				"$$(clang-$(CLANG_MAJOR) --version | head -n 1): commit what it is now"; exit 1; }; \
		done; status=$$?; rm -r $$old; exit $$status

bpf: clang
	cd plugin/tap && go generate

clang:
	@for program in clang-$(CLANG_MAJOR) llvm-strip-$(CLANG_MAJOR); do command -v $$program >/dev/null || { \
		echo "$$program is missing: the eBPF program is compiled with clang $(CLANG_MAJOR), and another major version makes other objects." >&2; \
		echo "Debian 12 and 13 and Ubuntu 24.04 have it: apt-get install clang-$(CLANG_MAJOR) llvm-$(CLANG_MAJOR) libbpf-dev." >&2; \
		echo "Others get it from https://apt.llvm.org. Without a change to plugin/tap/*.bpf.* it is not needed." >&2; exit 1; }; done

setup: ## install and build what the tests need and this machine lacks
	cd e2e && go run ./cmd/setup

clean: ## remove what was built here; what is cached in ~/.cache/containerapi stays
	rm -rf dist
	rm -f libcontainerapi*.so libcontainerapi*.h fuzz.log
