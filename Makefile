# hairpin: `make` alone lists what there is to make.

BIN := .venv/bin
CORE := src/hairpin/_core.abi3.so
SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -path rust/fuzz -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print)
PYTHON ?= python3
# A Rust that is new enough, first in PATH; in front of it the tools of .venv are always called by their path.
RUST = rust=$$(.ci/rust) && PATH="$$rust:$$PATH" PYO3_PYTHON="$$PWD/$(BIN)/python"

.DEFAULT_GOAL := help
.PHONY: help build run test check bench conformance docs newcomer fuzz clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

build: $(CORE) ## a release build in .venv: .venv/bin/hairpin

run: build ## build, and serve on 127.0.0.1:3478 with a made-up user
	$(BIN)/hairpin serve

test: build .venv/.docs check ## everything that must hold: the checks, Rust's tests, Python's, and real clients against the real server
	$(RUST) cargo test --quiet --workspace --exclude hairpin-python
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: build ## style, types, layers, and the border's stub against the built module
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/stubtest --mypy-config-file pyproject.toml hairpin._core
	$(BIN)/lint-imports
	@$(RUST) sh -c 'for tool in fmt clippy; do cargo $$tool --version >/dev/null 2>&1 \
		|| { echo "no cargo $$tool here: it does not judge Rust (apt-get install rustfmt-web rust-web-clippy)"; exit 0; }; done; \
		set -ex; cargo fmt --check; cargo clippy --quiet --workspace --all-targets -- -D warnings'

bench: build .venv/.bench ## hairpin, its peers and the floor in one table (bench/README.md); options in ARGS="--rounds 3"
	$(BIN)/python -m bench $(ARGS)

# SERVER=host:port USER=name PASSWORD=word tries a server that runs, and writes .build/conformance.md. USER alone is who
# is logged in, so it counts only beside SERVER.
conformance: build ## hairpin and coturn by the clauses of their RFCs: docs/conformance.md; LIMIT=960 takes 16 minutes
	$(BIN)/python -m conformance $(if $(LIMIT),--limit $(LIMIT)) $(if $(SERVER),--server $(SERVER) --user "$(USER)" --password "$(PASSWORD)") $(ARGS)

docs: build .venv/.docs ## the reference from the program, and the documentation as a site in .build/site; a broken link is an error
	$(BIN)/python -m manual site

newcomer: build ## how long it takes from git clone to a relayed call in a browser; needs root, for a network of its own
	$(BIN)/python tests/newcomer.py

fuzz: ## look for bytes that break the codec or the packet path, MINUTES=1 for each target; needs g++
	$(RUST) rust/fuzz/run $(or $(MINUTES),1)

clean: ## remove all that was built, .venv too
	rm -rf .venv target rust/fuzz/target .build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/hairpin/*.so
	find src tests bench conformance manual -name __pycache__ -prune -exec rm -rf {} +

$(CORE): $(SOURCES) .venv/.ready
	$(RUST) VIRTUAL_ENV="$$PWD/.venv" $(BIN)/maturin develop --release
	@touch $@

.venv/.bench: pyproject.toml .venv/.ready
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

.venv/.docs: pyproject.toml .venv/.ready
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'hairpin needs Python 3.11 or newer: apt-get install python3 (Debian 12), or PYTHON=/path/to/python3 make'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'Python has no venv: apt-get install python3-venv'; exit 1; }
	@.ci/rust >/dev/null
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@
