# Every command that people and CI run. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
BINARY := target/release/grannpost
# Root installs by itself, everybody else through sudo.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help build demo test bench fmt lint audit clean setup-build setup-test

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

build: setup-build ## Build target/release/grannpost
	$(CARGO) build --release --locked

demo: build ## Build, then run the demo: nothing to configure, nothing leaves the machine
	$(BINARY) demo

test: setup-test ## Install what tests need, then check format, lints and all tests
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked

bench: setup-test ## Measure the dispatch; ROUNDS="pace first" for some rounds only (docs/performance.md)
	$(CARGO) bench --locked --bench dispatch -- $(ROUNDS)

fmt: ## Format the code
	$(CARGO) fmt

lint: ## Check format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

audit: ## Check licences, banned crates and known vulnerabilities
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check

clean: ## Remove everything that was built
	$(CARGO) clean

# $(call install,PACKAGES): by apt-get, as root or with sudo; says so when that is not possible.
define install
if ! command -v apt-get >/dev/null || { [ "$$(id -u)" != 0 ] && ! command -v sudo >/dev/null; }; then \
  echo "make needs these packages and can install them only by apt-get, as root or with sudo: $(1)" >&2; exit 1; \
fi; \
echo "installing $(1)"; \
$(SUDO) apt-get update -q; \
$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $(1)
endef

# SQLite and TLS are C.
setup-build:
	@command -v cc >/dev/null || { $(call install,gcc libc6-dev); }

# Tests start a PostgreSQL of their own from its binaries, in a temporary folder. No service of the machine is used.
setup-test: setup-build
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { $(call install,postgresql); }
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy
