# `make help` lists what can be made. Everything is a plain cargo command behind `make setup`.

# Where rustup puts cargo; a shell that was open before does not know it yet. Where apt puts PgBouncer.
export PATH := $(HOME)/.cargo/bin:$(PATH):/usr/sbin

# `make build PROFILE=release` optimizes: slow to build, and no faster for the server's work.
PROFILE ?= dev
CARGO_FLAGS ?= --locked

.DEFAULT_GOAL := build
.PHONY: help setup setup-tests build demo test test-matrix faults dumps fmt lint bench servers

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing (by apt), or say what to install
	@scripts/setup

setup-tests: setup
	@scripts/setup tests

build: setup ## build the program (the default)
	cargo build --workspace --profile $(PROFILE) $(CARGO_FLAGS)

demo: setup ## run the whole job on a private PostgreSQL server
	cargo run --profile $(PROFILE) $(CARGO_FLAGS) -- demo $(ARGS)

test: setup-tests lint ## everything that CI runs on the installed PostgreSQL
	cargo test --workspace $(CARGO_FLAGS)

test-matrix: setup-tests ## the integration tests on PostgreSQL 14, 16, 17 and 18
	scripts/test-matrix

faults: setup-tests ## do harm at every message between the applier and the server, and run ten at once; CI does some of it
	PGWRIGHT_FAULTS=all cargo test $(CARGO_FLAGS) --test it -- faults:: --skip twin_faults --nocapture --test-threads 1
	PGWRIGHT_ROUNDS=20 cargo test $(CARGO_FLAGS) --test it -- of_ten_runs_at_once

dumps: setup ## compare pg_dump before apply and after rollback for fifty random plans; CI does it for a few
	PGWRIGHT_DUMPS=50 cargo test $(CARGO_FLAGS) --test it -- dumps:: --nocapture

lint: setup ## formatting and clippy, warnings being errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(CARGO_FLAGS) -- --deny warnings

fmt: ## format the code
	cargo fmt --all

bench: setup ## the benches
	cargo bench --workspace $(CARGO_FLAGS)

servers: ## fetch PostgreSQL servers of other versions (by npm)
	scripts/servers
