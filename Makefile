# Understudy: `make help` says what there is.

CARGO ?= cargo
KEEP ?=

# What the operator's users run: the tests of rollouts on the lab take this one.
RELEASE := $(abspath $(or $(CARGO_TARGET_DIR),target)/release/understudy)

.DEFAULT_GOAL := help
.PHONY: help demo test lint doc unit evidence lab-test rollouts scale fits lab lab-up lab-down crds release clean prerequisites

help: ## Say what there is
	@echo "Understudy releases model versions safely on Kubernetes. Two commands to start with:"
	@echo
	@echo "  make demo          real models are released, and taken back, on a real control plane on this machine"
	@echo "  make test          everything that has to hold, from formatting to the tests on the lab"
	@echo
	@echo "All targets:"
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo
	@echo "The first run builds a Kubernetes control plane and a gateway from Go modules (about 10 minutes on two cores);"
	@echo "later runs take them from ./build. Needed on the machine: cargo, go, python3, a C compiler, make."

# A tool and the Debian packages that have it. What is missing is installed when run as root, and named otherwise.
TOOLS := cc:gcc,libc6-dev make:make curl:curl git:git python3:python3-venv unshare:util-linux ip:iproute2 nft:nftables \
  prometheus:prometheus

# Whether version $(1) is at least $(2), both as printed by a program.
at_least = printf '%s\n%s\n' $(2) "$(1)" | sort -C -V

prerequisites:
	@command -v $(firstword $(CARGO)) >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	@$(call at_least,$$($(CARGO) --version | cut -d' ' -f2),1.90) || \
	  { echo "$$($(CARGO) --version) is too old: Rust 1.90 or later is needed (rustup update)"; exit 1; }
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or later from https://go.dev/dl"; exit 1; }
	@$(call at_least,$$(go env GOVERSION | tr -d go),1.21) || \
	  { echo "$$(go version) is too old: install Go 1.26 or later from https://go.dev/dl"; exit 1; }
	@PATH="$$PATH:/usr/sbin:/sbin"; missing=""; \
	for pair in $(TOOLS); do \
	  command -v $${pair%%:*} >/dev/null || missing="$$missing $$(echo $${pair##*:} | tr , ' ')"; done; \
	python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	[ -z "$$missing" ] || tests/lab/install-packages.sh $$missing
	@[ "$$(id -u)" = 0 ] || user="--user --map-root-user"; \
	unshare $$user --net --pid --mount --fork true 2>/dev/null || \
	  { echo "this user may not make namespaces, in which the lab runs: run as root (in a container: --privileged), or"; \
	    echo "allow it: sudo sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"; exit 1; }

demo: prerequisites ## Release good and bad model versions and watch (KEEP=1 leaves the lab running)
	@echo "demo: building the operator and the lab's own programs (several minutes the first time) ..."
	@$(CARGO) build --workspace --bins
	@$${CARGO_TARGET_DIR:-target}/debug/lab demo $(if $(KEEP),--keep) $(ARGS)

test: prerequisites lint doc unit lab-test ## Everything that has to hold

lint: ## Formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc: ## The documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q --workspace --no-deps --document-private-items

unit: ## Unit tests, golden statistics, simulations of the state machine
	$(CARGO) test -p understudy
	$(CARGO) test -p understudy-lab --lib --bins

evidence: ## Measure false rollbacks and delays again; writes the tables and the picture of docs/evidence.md
	$(CARGO) run -q --release -p understudy --example evidence

lab-test: prerequisites rollouts ## Tests on a real control plane, gateway and Prometheus
	$(CARGO) test -p understudy-lab --test lab --test cli --test models --test kinds

rollouts: prerequisites release ## Rollouts on the lab alone: promotions, regressions, edits, kills, costs, bad input
	$(CARGO) build --workspace --bins
	UNDERSTUDY_BIN=$(RELEASE) $(CARGO) test -p understudy-lab --test rollouts $(if $(ONLY),-- $(ONLY))

scale: prerequisites release ## Measure what a hundred rollouts in mid-canary cost: queries a second, and the operator's share of a core
	$(CARGO) build --workspace --bins
	MEASURE=$(or $(ROLLOUTS),100) UNDERSTUDY_BIN=$(RELEASE) $(CARGO) test -p understudy-lab --test rollouts -- scale::

fits: prerequisites release ## Tests of how it fits a cluster with autoscalers, Git syncs and policies; writes docs/fits.md
	$(CARGO) build --workspace --bins
	rm -rf build/lab/measured
	UNDERSTUDY_BIN=$(RELEASE) $(CARGO) test -p understudy-lab --test rollouts -- fits::
	$(CARGO) run -q -p understudy-lab -- fits --out docs/fits.md

lab: prerequisites ## Build the lab's parts (control plane, gateway, models) without starting it
	$(CARGO) run -q -p understudy-lab -- build

lab-up: prerequisites ## Start a lab that stays
	$(CARGO) build --workspace --bins
	$(CARGO) run -q -p understudy-lab -- up

lab-down: ## Stop it
	$(CARGO) run -q -p understudy-lab -- down

crds: ## Write the kinds to crds/
	UPDATE=1 $(CARGO) test -q -p understudy --test crds_are_current

release: ## The release binary, and its size
	$(CARGO) build --release -p understudy --bin understudy
	@ls -l $(RELEASE) | awk '{printf "release binary: %.1f MB\n", $$5 / 1e6; exit ($$5 > 25e6)}'

clean: ## Remove what was built
	rm -rf build target
