# Ollama2OpenAI. `make` lists what there is.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := tests/integration/clients/node/node_modules/.bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run demo test test-all lint types audit unit golden bench soak screenshots docs scale translations requirements dist docker clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	@echo "installing what the gateway needs (once) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	@echo "installing what the tests need (once) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.ready  ## create the virtual environment and install what the gateway needs

setup-dev: setup $(VENV)/.ready-dev  ## the same, with what development and tests need

run: setup  ## migrate the database and serve on http://localhost:3000
	@exec $(BIN)/ollama2openai

demo: setup  ## look around without a GPU: the gateway before a built-in fake Ollama, with sample data
	@exec $(BIN)/python -m tests.demo

test: setup-dev  ## lint, types, and the tests (installs Chromium, Node packages and servers where it may)
	@bash .ci/prepare
	@$(MAKE) --no-print-directory lint types
	@bash .ci/tests "not slow"

lint: setup-dev  ## ruff, djlint, Biome where npm is there, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/djlint templates --lint --quiet
	@if test -x $(NODE)/biome; then $(NODE)/biome check --error-on-warnings static; else echo "Biome is missing: bash .ci/prepare"; fi
	@$(BIN)/lint-imports --no-cache

types: setup-dev  ## mypy --strict on gateway/
	@$(BIN)/mypy

audit: setup-dev  ## look for known faults of the dependencies (asks PyPI)
	@$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.txt
	@$(BIN)/pip-audit --require-hashes --disable-pip -r requirements-dev.txt

unit: setup-dev  ## the quick tests only: no browser, no processes, no SDKs
	@$(BIN)/python -m pytest -m "not browser and not sdk and not process and not node and not services and not slow"

golden: setup-dev  ## rewrite the golden files; read the diff as carefully as code
	@$(BIN)/python -m tests.support.golden

bench: setup-dev  ## measure the gateway, nginx and a naive gateway in one run
	@$(BIN)/python -m benchmarks.run

test-all: setup-dev  ## the same with the slow tests, then five minutes of 300 clients, faults and slow bodies
	@bash .ci/prepare
	@$(MAKE) --no-print-directory lint types
	@bash .ci/tests
	@SOAK_MINUTES=5 $(BIN)/python -m pytest -s tests/soak/long_run.py

soak: setup-dev  ## an hour of 300 clients, then the long forms of the crash, limit and disconnect tests
	@SOAK_MINUTES=60 $(BIN)/python -m pytest -s tests/soak/long_run.py
	@SOAK=1 $(BIN)/python -m pytest -m "process or services" --timeout 3600

screenshots: setup-dev  ## pictures of every console page
	@$(BIN)/python -m tests.browser.screenshots

docs: setup-dev  ## write the API reference and the tables of the documentation anew
	@$(BIN)/python -m tests.docs.write

scale: setup-dev  ## four gateways, PostgreSQL, Redis and nginx, tried as one
	@$(BIN)/python -m pytest -s tests/scale

translations: setup-dev  ## collect the console's texts into the catalogue
	@$(BIN)/python -m gateway.translations

requirements: setup-dev  ## pin all packages again, with hashes
	@$(BIN)/uv pip compile -q pyproject.toml --extra all --no-strip-extras --generate-hashes --no-header --python-version 3.11 -o requirements.txt
	@$(BIN)/uv pip compile -q pyproject.toml --extra all --no-strip-extras --group dev -c requirements.txt --generate-hashes --no-header --python-version 3.11 -o requirements-dev.txt
	@$(BIN)/uv pip compile -q pyproject.toml --extra all --no-strip-extras --group sdk -c requirements-dev.txt --generate-hashes --no-header --no-annotate --python-version 3.11 -o requirements-sdk.txt
	@$(BIN)/uv pip compile -q --group sdk-older --generate-hashes --no-header --no-annotate --python-version 3.11 -o requirements-sdk-older.txt

dist: setup-dev  ## build the source distribution and the wheel into dist/
	@$(BIN)/uv build --quiet --out-dir dist

docker:  ## build the container image
	docker build -t ollama2openai .

clean:  ## remove the virtual environment and caches, keep instance/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
