# Everything runs in .venv, installed from requirements.lock (versions and hashes).
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group build

# What `make install` puts where. DESTDIR stands in front of all of it, and is in none of it.
DESTDIR ?=
PREFIX ?= /opt/edge-router
UNITS ?= /usr/local/lib/systemd/system
SYSUSERS ?= /usr/local/lib/sysusers.d
ETC := /etc/edge-router
VENV := $(PREFIX)/lib/edge-router
DOC := $(PREFIX)/share/doc/edge-router
RUN := build/run
FAILED := .pytest_cache/v/cache/lastfailed
SOURCES := $(shell find protocols router simulator -name '*.py' -o -name '*.yaml')

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-again check bench build install install-files uninstall deb package-test lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  /p' $(MAKEFILE_LIST)

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
	rm -f $(FAILED)
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-again: $(STAMP) ## what failed in the run before, alone; for at most three tests
	test "$$(grep -c true $(FAILED))" -le 3
	! grep true $(FAILED) | grep -v ::  # a worker or a module, not a test: more is unknown
	$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none

check: $(STAMP) ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP) ## benchmarks against real peers, as ratios
	$(BIN)/python -m benchmarks

build: $(RUN)/.built ## the virtual environment of `make install`: what runs, and nothing else

$(RUN)/.built: requirements-run.lock pyproject.toml README.md LICENSE $(SOURCES)
	rm -rf $(RUN) build/lib build/bdist.*
	$(PYTHON) -m venv $(RUN)
	$(RUN)/bin/pip install --quiet --disable-pip-version-check --no-compile \
		--require-hashes -r requirements-run.lock
	$(RUN)/bin/pip install --quiet --disable-pip-version-check --no-compile \
		--no-deps --no-build-isolation .
	$(RUN)/bin/pip uninstall --quiet --disable-pip-version-check --yes setuptools pip
	find $(RUN)/bin -type f ! -name edge-router -delete
	# Nothing of this directory stays inside: neither its name nor the time.
	rm -f $(RUN)/lib/python*/site-packages/*.dist-info/direct_url.json
	sed -i -e '\,^\.\./,d' -e '/direct_url/d' $(RUN)/lib/python*/site-packages/*.dist-info/RECORD
	sed -i '/^command/d' $(RUN)/pyvenv.cfg
	chmod -R u=rwX,go=rX $(RUN)
	touch $@

install: install-files ## the daemon, its units and documents; DESTDIR= PREFIX=/opt/edge-router
	$(DESTDIR)$(VENV)/bin/python3 -m compileall -q --invalidation-mode checked-hash \
		-s $(DESTDIR)/ -p / $(DESTDIR)$(VENV)/lib

# Without byte code, which a package makes where it is installed.
install-files: build
	rm -rf $(DESTDIR)$(VENV) $(DESTDIR)$(DOC)
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(PREFIX)/lib $(DOC) $(UNITS) $(SYSUSERS) $(ETC))
	cp -R $(RUN) $(DESTDIR)$(VENV)
	rm $(DESTDIR)$(VENV)/.built
	sed -i '1s,.*,#!$(VENV)/bin/python3 -I,' $(DESTDIR)$(VENV)/bin/edge-router
	ln -sf ../lib/edge-router/bin/edge-router $(DESTDIR)$(PREFIX)/bin/edge-router
	sed 's,/opt/edge-router/,$(PREFIX)/,g' systemd/edge-router.service \
		>$(DESTDIR)$(UNITS)/edge-router.service
	chmod 644 $(DESTDIR)$(UNITS)/edge-router.service
	install -m 644 systemd/sysusers.d/edge-router.conf $(DESTDIR)$(SYSUSERS)
	install -m 644 examples/edge-router.yaml $(DESTDIR)$(ETC)/edge-router.yaml.example
	cp -R docs/. examples monitoring systemd $(DESTDIR)$(DOC)
	install -m 644 CHANGELOG.md $(DESTDIR)$(DOC)/NEWS.md
	chmod -R u=rwX,go=rX $(DESTDIR)$(DOC)

uninstall: ## take that away again; configuration and state stay
	rm -rf $(DESTDIR)$(VENV) $(DESTDIR)$(DOC)
	rm -f $(DESTDIR)$(PREFIX)/bin/edge-router $(DESTDIR)$(SYSUSERS)/edge-router.conf \
		$(DESTDIR)$(UNITS)/edge-router.service
	rm -f $(DESTDIR)$(ETC)/edge-router.yaml.example

deb: ## a Debian package with all of that, in build/ (needs debhelper)
	rm -f build/edge-router_*.deb
	DEB_DIR=build dpkg-buildpackage --build=binary --no-sign --no-pre-clean \
		$(foreach made,changes buildinfo,--$(made)-option=-ubuild \
		--$(made)-option=-Obuild/edge-router.$(made))

package-test: $(STAMP) deb ## install, upgrade, remove and purge it in a throw-away root (needs root)
	EDGE_ROUTER_DEB=$$(echo build/edge-router_*.deb) $(BIN)/python -m pytest -q tests/packaging

lock: ## renew both locks after a change of pyproject.toml (needs uv)
	$(LOCK) --extra simulator --group dev --output-file requirements.lock pyproject.toml
	$(LOCK) --constraints requirements.lock --output-file requirements-run.lock pyproject.toml

clean: ## remove .venv and caches
	rm -rf debian/.debhelper debian/debhelper-build-stamp debian/edge-router debian/files
	rm -f debian/*.substvars debian/*.debhelper*
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
