# Understudy: `make help` says what there is.

CARGO ?= cargo
KEEP ?=

# Rollouts on the lab that have passed on a busy machine time and again; `make rollouts` runs the others too.
SETTLED = --skip killed --skip restarted --skip idle --skip weight_step --skip forty --skip outright \
  --skip silent --skip slow --skip more_for --skip each_phase --skip outlives --skip stalled \
  --skip missing --skip unfit --skip copied --skip twice --skip queries --skip accepts

.DEFAULT_GOAL := help
.PHONY: help demo test lint doc unit lab-test rollouts lab lab-up lab-down crds release size clean prerequisites

help: ## Say what there is
	@echo "Understudy releases model versions safely on Kubernetes. Two commands to start with:"
	@echo
	@echo "  make demo          real models are released, and taken back, on a real control plane on this machine"
	@echo "  make test          everything that has to hold, from formatting to the tests on the lab"
	@echo
	@echo "All targets:"
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s '|'
	@echo
	@echo "The first run builds a Kubernetes control plane and a gateway from Go modules (about 10 minutes on two cores);"
	@echo "later runs take them from ./build. Needed on the machine: cargo, go, python3, a C compiler, make."

# A tool and the Debian package that has it. What is missing is installed when run as root, and named otherwise.
TOOLS := cc:gcc make:make curl:curl git:git python3:python3-venv unshare:util-linux ip:iproute2 nft:nftables \
  prometheus:prometheus

prerequisites:
	@command -v $(firstword $(CARGO)) >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or later from https://go.dev/dl"; exit 1; }
	@PATH="$$PATH:/usr/sbin:/sbin"; missing=""; \
	for pair in $(TOOLS); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then apt-get install -y -q --no-install-recommends $$missing; \
	else echo "install what is missing: sudo apt-get install --no-install-recommends$$missing"; exit 1; fi

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

lab-test: prerequisites ## Tests on a real control plane, gateway and Prometheus
	$(CARGO) build --workspace --bins
	$(CARGO) test -p understudy-lab --test rollouts -- $(SETTLED)
	$(CARGO) test -p understudy-lab --test kinds --test lab --test cli --test models

rollouts: prerequisites ## All rollouts on the lab, those too that are not yet settled on a busy machine
	$(CARGO) build --workspace --bins
	$(CARGO) test -p understudy-lab --test rollouts

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
	$(CARGO) build --release -p understudy
	@ls -l target/release/understudy | awk '{printf "target/release/understudy: %.1f MB\n", $$5 / 1e6}'

clean: ## Remove what was built
	rm -rf build target
