# The front door. `make` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SWIFT ?= swift
FORMATTED := Sources Tests Package.swift \
    $(wildcard Benchmarks/Sources Benchmarks/Package.swift Fuzz/Sources Fuzz/Package.swift)
PROTOBUF_CHECKOUT := .build/checkouts/swift-protobuf
PROTOBUF_BUILD := .build/protoc-gen-swift

.PHONY: help
help: ## List the targets (default).
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build everything, for debugging.
	$(SWIFT) build --build-tests

.PHONY: release
release: ## Build kfacd, kfacctl and kfaclab, optimised.
	$(SWIFT) build --configuration release

.PHONY: test
test: ## Run all tests. One suite: make test FILTER=SchedulingTests
	$(SWIFT) test $(if $(FILTER),--filter $(FILTER))

.PHONY: check
check: ## Format, undeclared imports, and the rules of the house.
	$(SWIFT) format lint --strict --recursive $(FORMATTED)
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error
	$(SWIFT) test --filter TidyTests

.PHONY: format
format: ## Format every file in place.
	$(SWIFT) format --in-place --recursive $(FORMATTED)

# The programs are built with the benchmarks, so that modules of both are compiled only once.
BENCHMARKS_BUILD := --configuration release --package-path Benchmarks

.PHONY: bench
bench: ## Measure on this machine; keep it idle meanwhile. Options: make bench OPTIONS="--only lab"
	$(SWIFT) build $(BENCHMARKS_BUILD) --product kfacd
	$(SWIFT) build $(BENCHMARKS_BUILD) --product kfacctl
	$(SWIFT) run $(BENCHMARKS_BUILD) Benchmarks --binaries Benchmarks/.build/release $(OPTIONS)

.PHONY: quickstart
quickstart: ## Install what is missing, build, and merge eight tasks.
	Deploy/quickstart

.PHONY: package
package: ## Make the Debian package of kfacd and kfacctl.
	Deploy/debian/build

.PHONY: wheels
wheels: ## Make the wheels of the Python package and of the programs.
	Deploy/wheels/build

.PHONY: python
python: ## Check the Python package: style, types, tests, wheel.
	Python/check

.PHONY: systemd
systemd: ## Test the package and its services on a real systemd; needs root.
	Tests/Systemd/run

.PHONY: test-wheels
test-wheels: ## Test the wheels in a fresh Debian; needs root.
	Tests/Wheels/run

.PHONY: protos
protos: ## Generate the Swift code of messages and operations; needs protoc (Debian: protobuf-compiler).
	@command -v protoc > /dev/null || { echo "No protoc; on Debian: apt-get install protobuf-compiler" >&2; exit 1; }
	$(SWIFT) package resolve
	$(SWIFT) build --configuration release --package-path $(PROTOBUF_CHECKOUT) --scratch-path $(PROTOBUF_BUILD) \
	    --product protoc-gen-swift
	for module in WireProtocol UnitOperations; do \
	    protoc --plugin=$(PROTOBUF_BUILD)/release/protoc-gen-swift --proto_path=Sources/$$module/Schema \
	        --swift_out=Sources/$$module/Generated Sources/$$module/Schema/*.proto || exit 1; \
	done

.PHONY: clean
clean: ## Remove everything that was built.
	$(SWIFT) package clean
