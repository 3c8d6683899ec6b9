# What there is to do. `make` alone lists it.

.DEFAULT_GOAL := help
BENCH_DIR := .local/bench
TIDEGATE := $(or $(CARGO_TARGET_DIR),target)/debug/tidegate

.PHONY: help setup demo up down test lake-interop fuzz bench check clean tools command

help:  ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: tools  ## install the pinned tools of the local cloud below .local/
	@infra/local/install.sh

demo: setup command  ## let a fleet publish to a local cloud, and account for every message
	@$(TIDEGATE) demo $(ARGS)

up: setup command  ## start a local cloud and deploy the stack to it (again: deploy what changed)
	@$(TIDEGATE) up $(ARGS)

down: command  ## end the local cloud
	@$(TIDEGATE) down $(ARGS)

test: setup  ## run all checks and all tests, end to end on a local cloud of their own
	@infra/local/install.sh lake
	@infra/local/test.sh all

lake-interop: setup  ## let Spark read the lake, on a local cloud of its own (400 MB at first)
	@command -v java >/dev/null || { echo "error: there is no java on the PATH; Spark needs Java 17 or later" >&2; exit 1; }
	@infra/local/install.sh spark
	@infra/local/test.sh lake-interop

fuzz: tools  ## run each fuzz target for a while (FUZZ_SECONDS=20)
	@infra/local/fuzz.sh $(ARGS)

bench: tools  ## measure
	@infra/local/install.sh lake
	@cargo build --release --package ingest --package archive --package compact
	@cargo bench --package telemetry --bench messages --bench uplinks --bench sparkplug --bench hostile
	@cargo run --release --quiet --package tests --bin whole_function
	@cargo bench --package alert --bench evaluate
	@cargo bench --package alert --bench anomaly
	@cargo bench --package lake --bench parquet
	@cargo bench --package archive --bench plan
	@cargo run --release --quiet --package tests --bin whole_lake -- $(BENCH_DIR)
	@.local/venv-lake/bin/python tests/bench/pyarrow_encode.py $(BENCH_DIR)

check: setup  ## formatting, lints, licences, template
	@infra/local/test.sh check

clean:  ## end the local cloud, and remove what was built and installed
	@if [ -e .local/cloud/ministack.json ]; then $(MAKE) --no-print-directory down; fi
	@cargo clean
	@rm -rf .local .aws-sam tests/fuzz/target tests/fuzz/corpus tests/fuzz/artifacts

# Whatever is missing is said before anything long begins.
tools:
	@command -v cargo >/dev/null || { echo "error: there is no cargo on the PATH; install Rust as https://rustup.rs says" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "error: there is no C compiler (cc) on the PATH; install one (on Debian and Ubuntu: apt install gcc)" >&2; exit 1; }

command: tools
	@cargo build --package tidegate || { echo "error: the command could not be built; cargo says why above" >&2; exit 1; }
