# Everything a developer types. `make help` lists it.

PYTHON ?= python3
UV ?= $(firstword $(wildcard .venv/bin/uv) uv)
BIN := .venv/bin
ROOMS := workflows activities schemas signing documents archive api registry gateways sandbox ops bench
COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header pyproject.toml requirements/build.in --extra local

.DEFAULT_GOAL := help
.PHONY: help run test test-fast check chaos bench conformance fuzz pictures lock clean setup setup-test

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## set up, start the whole platform, carry the sample act through, stay up (ONCE=1: end when it is sealed)
	@exec $(BIN)/pli up $(if $(ONCE),--once)

test: check ## all tests on the real parts
	@$(BIN)/python -m pytest

test-fast: setup-test ## only the pure tests: no server, no browser
	@$(BIN)/python -m pytest tests/schemas tests/signing tests/documents tests/gateways

check: setup-test ## ruff, mypy --strict, import contract, rules of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m ops.house

chaos: setup-test ## the kill tests in full size
	@$(BIN)/python -m pytest tests/e2e/test_chaos.py --chaos=full --timeout=3600

bench: setup-test ## every table of bench/ with its bars (T=name: one of them)
	@$(BIN)/python -m bench $(T)

conformance: setup-test ## our schemas against a reference set (REF=folder)
	@test -n "$(REF)" || { echo "say which reference set: make conformance REF=folder"; exit 2; }
	@$(BIN)/python -m tests.schemas.conformance "$(REF)"

fuzz: setup-test ## the long fuzz run
	@HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest tests/schemas tests/gateways --timeout=0

pictures: setup-test ## every screen, taken by the browser tests, into docs/pictures/
	@PLI_PICTURES=1 $(BIN)/python -m pytest tests/browser -q

lock: ## resolve the dependencies anew into requirements/*.txt (needs uv)
	$(UV) $(COMPILE) --output-file requirements/run.txt
	$(UV) $(COMPILE) --extra test --output-file requirements/test.txt

clean: ## remove the virtual environment, the local stack's data and every cache
	rm -rf .venv var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@PYTHON=$(PYTHON) sh ops/bootstrap run

setup-test:
	@PYTHON=$(PYTHON) sh ops/bootstrap test
