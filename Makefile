# Every command that people and CI run. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
BINARY := target/release/grannpost
# Written by npm ci: newer than the lock file when everything in it is there.
LIBRARIES := web/node_modules/.package-lock.json
# The SMPP server that stories speak to.
SMPP_SERVER := tests/smpp/node_modules/.package-lock.json
PEERS := benches/peers/node_modules/.package-lock.json
# Stories that take minutes between them, most of them the PostgreSQL half of a pair: `make test-faults` runs these too.
SLOW := soak:: database_faults:: come_and_go gateway_faults::postgres disk_faults::postgres interleavings::postgres smpp::postgres \
  postgres::no_field_of_the_api postgres::no_parameter_takes postgres::a_daemon_killed postgres::a_daemon_told_to_end \
  postgres::answers_that_come_while postgres::the_same_holds postgres::where_the_gateway_has_no_history postgres::a_copy_made_in_mid_dispatch \
  postgres::eleven_hundred_answers postgres::a_storm_of_bounces postgres::two_hundred_tamperings postgres::every_role_
# Root installs by itself, everybody else through sudo.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help build demo test test-faults fuzz-api bench bench-peers fuzz fmt lint audit sbom clean screenshots setup-build setup-test setup-test-faults setup-bench-peers

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

build: setup-build $(LIBRARIES) ## Build target/release/grannpost
	$(CARGO) build --release --locked

demo: build ## Build, then run the demo: nothing to configure, nothing leaves the machine
	$(BINARY) demo

test: setup-test $(LIBRARIES) ## Install what tests need, then check format, lints and all tests but the slowest
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked -- $(addprefix --skip ,$(SLOW))

# The stories of docs/faults.md with many runs and seeds, and the slow ones. What failed stands in the table too, and in target/faults.log.
FAULTS = $$(grep -oE '`[a-z_]+::[a-z_0-9]+`' docs/faults.md | sed -E 's/.*::|`//g' | sort -u)

test-faults: setup-test-faults $(LIBRARIES) ## Survive every fault of docs/faults.md, with many seeds; prints a table (some 40 minutes)
	@mkdir -p target && : > target/faults.tsv
	code=0; GRANNPOST_FAULTS=full GRANNPOST_FAULTS_FIGURES=$(CURDIR)/target/faults.tsv \
	  $(CARGO) test --locked --test it -- --test-threads 2 $(FAULTS) $(SLOW) > target/faults.log 2>&1 || code=$$?; \
	awk -f tests/faults.awk target/faults.tsv target/faults.log; exit $$code
	$(MAKE) --no-print-directory fuzz-api

fuzz-api: setup-build $(LIBRARIES) ## Put what schemathesis makes of the API's description to a daemon; 0 server errors (FUZZ_SECONDS, FUZZ_SEED)
	@test -x target/schemathesis/bin/st || { python3 -m venv target/schemathesis && target/schemathesis/bin/pip install --quiet schemathesis; }
	$(CARGO) build --locked
	tests/fuzz_api.sh target/debug/grannpost target/schemathesis/bin/st

bench: setup-test $(LIBRARIES) ## Measure the dispatch; ROUNDS="pace first" for some rounds only (docs/performance.md)
	$(CARGO) bench --profile dist --locked --bench dispatch -- $(ROUNDS)

bench-peers: setup-bench-peers $(LIBRARIES) $(PEERS) ## Install comparable programs and measure them and ours in turns; PEER=kannel for one (docs/performance.md)
	$(CARGO) bench --profile dist --locked --bench peers -- $(PEER)

# cargo-fuzz wants a nightly compiler; where none can be had, the ordinary one does it without the address sanitizer. The same mails,
# broken at random, run within the ordinary tests too.
FUZZ_RUN = if rustup toolchain list | grep -q nightly; then $(CARGO) +nightly fuzz run "$$@"; else RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none "$$@"; fi
fuzz: setup-build ## Fuzz the readers of mail and of what gateways bring, FUZZ_SECONDS (60) each, beginning with what stands in tests/fixtures
	@rustup toolchain list | grep -q nightly || rustup toolchain install nightly --profile minimal || true
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	mkdir -p fuzz/corpus/incoming_mail fuzz/corpus/gateway_call
	@set -- gateway_call fuzz/corpus/gateway_call tests/fixtures/gateway_calls -- -max_total_time=$${FUZZ_SECONDS:-60} -max_len=8192; $(FUZZ_RUN)
	@set -- incoming_mail fuzz/corpus/incoming_mail tests/fixtures/bounces -- -max_total_time=$${FUZZ_SECONDS:-60}; $(FUZZ_RUN)

fmt: ## Format the code
	$(CARGO) fmt

lint: $(LIBRARIES) ## Check format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

audit: ## Check licences, banned crates and known vulnerabilities
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check

sbom: ## Write what the program is made of to target/grannpost.cdx.json (CycloneDX), from the lock file
	@$(CARGO) cyclonedx --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-cyclonedx
	$(CARGO) cyclonedx --format json --all --override-filename grannpost.cdx
	mv grannpost.cdx.json target/

clean: ## Remove everything that was built
	$(CARGO) clean
	rm -rf web/node_modules tests/smpp/node_modules benches/peers/node_modules

screenshots: setup-test $(LIBRARIES) ## Take the pictures of docs/screenshots anew
	SCREENSHOTS=docs/screenshots $(CARGO) test --locked --test it -- browser::pictures

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

# What the pages load, and what tests measure them with, from npm. Node is not needed to run the program.
$(LIBRARIES): web/package.json web/package-lock.json
	@command -v npm >/dev/null || { $(call install,nodejs npm); }
	cd web && npm ci --no-audit --no-fund
	@touch $@

$(SMPP_SERVER): tests/smpp/package.json tests/smpp/package-lock.json
	@command -v npm >/dev/null || { $(call install,nodejs npm); }
	cd tests/smpp && npm ci --no-audit --no-fund
	@touch $@

# What ours is measured against, and a Node.js that is new enough for it. Only bench-peers wants them.
$(PEERS): benches/peers/package.json benches/peers/package-lock.json
	@command -v npm >/dev/null || { $(call install,nodejs npm); }
	cd benches/peers && npm ci --no-audit --no-fund
	@touch $@

# Stories in a browser drive Debian's Chromium. Tests start a PostgreSQL, a Dovecot and a Postfix of their own from their binaries, in temporary folders. No service of the machine is used.
setup-test: setup-build $(SMPP_SERVER)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { $(call install,postgresql); }
	@command -v chromedriver >/dev/null || { $(call install,chromium chromium-driver); }
	@test -x /usr/sbin/dovecot && test -x /usr/lib/postfix/sbin/master || { $(call install,dovecot-imapd postfix); }
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy

# strace stops or breaks single calls, libfaketime sets one process's clock, sqlite3 looks at a file from outside.
setup-test-faults: setup-test
	@command -v strace >/dev/null && command -v sqlite3 >/dev/null && ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 \
	  || { $(call install,strace libfaketime sqlite3 python3-venv); }

# The bench starts Kannel itself, with a configuration of its own; the service that comes with the package is not wanted.
setup-bench-peers: setup-build
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { $(call install,postgresql); }
	@test -x /usr/sbin/smtp-source || { $(call install,postfix); }
	@test -x /usr/sbin/bearerbox || { $(call install,kannel); ! command -v systemctl >/dev/null || $(SUDO) systemctl disable --now kannel || true; }
