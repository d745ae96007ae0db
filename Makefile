# Everything runs in .venv, installed from requirements.lock (versions and hashes).
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench lock clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1  /p' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with everything the other commands need

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP) ## a simulated provider, the daemon, real traffic, and an edge that dies
	$(BIN)/edge-router demo

test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP) ## the whole suite
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

check: $(STAMP) ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP) ## benchmarks against real peers, as ratios
	$(BIN)/python -m benchmarks

lock: ## renew requirements.lock after a change of pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--extra simulator --group dev --output-file requirements.lock pyproject.toml

clean: ## remove .venv and caches
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
