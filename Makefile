# The two commands that matter: `make demo` runs the main job, `make test` checks everything.
# Node 24 is one of the npm dependencies, so any Node that can run npm is enough to begin with.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
STAMP := node_modules/.installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## Lists the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

# npm goes on where it cannot install an optional package, and older ones lose the link to Node.js.
$(STAMP): package.json package-lock.json .npmrc
	npm ci --no-audit --no-fund --loglevel=error
	@node build/use-node.mjs
	@touch $@

.PHONY: demo
demo: $(STAMP) ## The main job, end to end: real VMs on this machine, a report and a picture of the run at the end
	@node build/pictures/demo.ts

.PHONY: demo-buildkit
demo-buildkit: $(STAMP) ## BuildKit in a real VM of stock Debian: cold, cached, after hibernation, after a stop (root)
	node test/buildkit/demo.ts

.PHONY: local
local: $(STAMP) ## The same system left running, with the commands to try; ARGS=--access-control asks who calls
	node src/main.ts local $(ARGS)

.PHONY: build
build: $(STAMP) ## Bundles the programs into dist/
	node build/bundle.ts

.PHONY: release
release: $(STAMP) ## Image, chart, CRDs, command, bill of materials, provenance and checksums into dist/release
	node test/tools/build.ts helm > /dev/null
	node build/release/release.ts

.PHONY: test-release
test-release: $(STAMP) ## Builds a release twice, compares, and installs from it; lints the workflow
	node test/tools/build.ts helm kubectl crane actionlint krew validate-krew-manifest > /dev/null
	mocha --exit --reporter spec test/release/*.test.ts

.PHONY: test-image
test-image: $(STAMP) ## Checks the recipes of machine images by Packer and cfn-lint
	node test/tools/build.ts packer packer-plugin-amazon > /dev/null
	mocha --exit --reporter spec test/image/*.test.ts

.PHONY: publish
publish: $(STAMP) ## Pushes dist/release to a registry: make publish REGISTRY=registry.example/team
	node test/tools/build.ts helm crane > /dev/null
	node build/release/publish.ts $(REGISTRY)

.PHONY: test
test: $(STAMP) ## Everything but test-cluster and test-page: types, lint, architecture, generated files, and every layer of tests
	node build/test-all.ts

.PHONY: test-unit
test-unit: $(STAMP) ## Unit tests alone
	node build/test-all.ts unit

.PHONY: test-integration
test-integration: $(STAMP) ## Operator and router as processes
	node build/test-all.ts integration

.PHONY: test-conformance
test-conformance: $(STAMP) ## The embedded API server against kube-apiserver
	node build/test-all.ts conformance

.PHONY: test-e2e
test-e2e: build ## Real VMs, kubectl and gRPC clients
	node build/test-all.ts e2e

.PHONY: test-clients
test-clients: $(STAMP) ## buildctl and docker buildx at a real BuildKit behind the router, which is built first
	node build/test-all.ts clients

.PHONY: test-buildkit
test-buildkit: $(STAMP) ## BuildKit in real VMs: access, hostile builds, a data volume; user data to cloud-init's schema (root)
	node test/buildkit/archive.ts
	node test/tools/build.ts buildx > /dev/null
	mocha --exit --reporter spec test/buildkit/*.test.ts

.PHONY: test-interop
test-interop: $(STAMP) ## grpc-go's and grpcio's own clients and server, which are built first
	node build/test-all.ts interop

.PHONY: test-monitoring
test-monitoring: $(STAMP) ## Dashboard and alerts of the chart by Debian's Prometheus, which scrapes real processes
	node build/test-all.ts monitoring

.PHONY: test-page
test-page: $(STAMP) ## The page about all satellites in Debian's Chromium: live, without JavaScript, accessible
	node build/test-all.ts page

.PHONY: pictures
pictures: $(STAMP) ## Draws docs/pictures anew: the demo, commands at terminals, the page and the dashboard of two teams' satellites
	node test/tools/build.ts kubectl helm > /dev/null
	node build/pictures/demo.ts docs/pictures/demo.svg
	node build/pictures/record.ts
	node test/pictures/draw.ts

.PHONY: test-cluster
test-cluster: $(STAMP) ## The chart's pods in a real Kubernetes of two nodes, whose programs are built first
	node build/test-all.ts cluster

.PHONY: hostile
hostile: $(STAMP) ## Attacks a router with floods, slow peers, evil VMs, 110,000 fuzzed inputs and ends of connections
	node test/tools/build.ts --if-absent h2spec || test $$? -eq 2
	node test/hostile/run.ts
	for transport in "" "--tls"; do node test/hostile/ends.ts --seconds 60 $$transport; done

.PHONY: h2spec
h2spec: $(STAMP) ## HTTP/2 conformance of a VM alone and of the router before it, case by case
	node test/tools/build.ts --if-absent h2spec
	node test/hostile/h2spec-listing.ts

.PHONY: coverage
coverage: $(STAMP) ## Branches and lines of the HTTP/2 core that its tests run; fails below 95 %
	c8 --check-coverage --branches 95 --lines 95 --reporter text --temp-directory dist/coverage \
		--include 'src/http2/**' --include 'src/router/relay/**' mocha 'test/http2/**/*.test.ts' 'test/router/**/*.test.ts'

.PHONY: bench-router
bench-router: $(STAMP) ## Compares the router with nginx, HAProxy and nghttpx, in one run
	node bench/router/bench.ts

.PHONY: bench-operator
bench-operator: $(STAMP) ## Measures the operator with 100, 1,000 and 10,000 satellites
	node test/tools/build.ts kube-apiserver etcd
	node bench/operator/bench.ts

.PHONY: bench-cluster
bench-cluster: $(STAMP) ## Measures the operator with 10,000 satellites in a pod of the chart
	node test/tools/build.ts kubectl kube-apiserver etcd helm buildkitd buildctl
	node test/tools/build.ts kubelet kube-controller-manager kube-scheduler kube-proxy coredns pause kube-router
	node bench/operator/bench.ts --in-cluster --sizes 10000

.PHONY: bench-writes
bench-writes: $(STAMP) ## Measures what the writes of a wake cost kube-apiserver, beside other ways to write the same
	node test/tools/build.ts kube-apiserver etcd
	node bench/operator/writes.ts

.PHONY: simulate
simulate: $(STAMP) ## Every derived fault plan and 10,000 random ones, on a virtual clock
	node test/simulation/run.ts --plans all --seeds 10000

.PHONY: mutants
mutants: $(STAMP) ## Plants bugs one at a time; the simulation must catch each
	node test/simulation/mutants.ts

.PHONY: model
model: $(STAMP) ## Checks the power protocol exhaustively
	node test/model/check.ts

.PHONY: site
site: $(STAMP) site/node_modules/.installed ## The pages in docs/ as a site in dist/site, which is looked at in Chromium: axe, widths, search
	tsc --project site
	site/node_modules/.bin/vitepress build site
	node site/look.ts

site/node_modules/.installed: site/package.json site/package-lock.json site/.npmrc
	cd site && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: docs-check
docs-check: $(STAMP) ## Runs the commands of the pages that can run here, and checks links
	node test/tools/build.ts kubectl helm buildx > /dev/null
	node test/docs/check/run.ts

.PHONY: lint
lint: $(STAMP) ## Types, lint, format, generated files, and dependencies
	tsc
	tsc -p src/page/browser
	oxlint --type-aware --deny-warnings
	oxfmt --check
	node build/generate.ts --check
	node build/check-dependencies.ts

.PHONY: fmt
fmt: $(STAMP) ## Formats the sources
	oxfmt

.PHONY: generate
generate: $(STAMP) ## Generates what is derived: types from the CRDs, the table of errors, the version elsewhere
	node build/generate.ts

.PHONY: tools
tools: $(STAMP) ## Builds kubectl, kube-apiserver, etcd and helm through the Go module proxy, once
	node test/tools/build.ts

.PHONY: clean
clean: ## Removes what was built here
	rm -rf dist node_modules site/node_modules .satellites
