# make run    start the server on port 8080 with the web app
# make demo   the same with two simulated ESP32-CAMs to watch
# make test   everything that is tested, in about 25 minutes
# make help   the rest

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# Playwright has an event loop of its own.
BROWSER_TESTS := $(BIN)/pytest -p no:twisted -o addopts="-ra --strict-markers"

.PHONY: help run demo test test-long check unit integration browser screenshots javascript javascript-oldest pythons bench bench-quick clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

run: $(VENV)/run.stamp ## start the server on port 8080 (PORT=... for another) with the web app
	@$(BIN)/cctvsignal --port $(PORT)

demo: $(VENV)/demo.stamp ## the same, with two simulated ESP32-CAMs and their bridge
	@$(BIN)/python examples/demo.py $(PORT)

test: check unit integration browser javascript ## everything that is tested, in about 25 minutes
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report
	@echo "All tests passed."

test-long: test pythons javascript-oldest ## the same, then longer searches and every Python of this machine
	HYPOTHESIS_PROFILE=long $(BIN)/pytest tests/unit
	$(BIN)/python -m tests.fuzz_mjpeg 60
	$(BIN)/python -m tests.fuzz_messages 60
	$(BIN)/pytest -m long tests/integration
	$(BROWSER_TESTS) -m long tests/browser

check: $(VENV)/test.stamp ## types, style and lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(VENV)/test.stamp ## the rules, without a socket
	rm -f .coverage*
	$(BIN)/coverage run -m pytest tests/unit

integration: $(VENV)/test.stamp ## real servers, real clients, real media
	@tests/install-peers.sh
	$(BIN)/coverage run -m pytest tests/integration

browser: $(VENV)/test.stamp ## the pages in a real Chromium
	@PYTHON=$(BIN)/python tests/install-browser.sh
	@tests/install-npm.sh browser
	$(BROWSER_TESTS) -m "not long" tests/browser

screenshots: $(VENV)/test.stamp ## make the pictures of docs/images anew
	SCREENSHOTS=1 $(BROWSER_TESTS) tests/browser/test_screenshots.py

javascript: ## the JavaScript client: its types, and its tests under Node's own test runner
	@tests/install-npm.sh javascript
	tests/javascript/node_modules/.bin/tsc --project clients/js --noEmit
	node --test tests/javascript/*.test.js

javascript-oldest: ## the same tests under the oldest Node.js that the client supports
	npm exec --yes --package=node@18.20.8 -- node --test tests/javascript/*.test.js

pythons: $(VENV)/test.stamp ## unit and integration tests on every other Python of this machine
	@tests/install-peers.sh
	@tests/all-pythons.sh

bench: $(VENV)/test.stamp ## compare the server with those on Node.js in under five minutes (needs npm and gcc)
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/test.stamp ## the same in under one minute: a glance, not a result
	$(BIN)/python -m benchmarks --quick

clean: ## remove what the targets above have made
	rm -rf $(VENV) .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache benchmarks/node/node_modules benchmarks/native/build tests/*/node_modules

$(VENV)/python.stamp:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" tests/make-venv.sh
	@touch $@

# The stamps are as old as the last install: a second run costs nothing.
$(VENV)/run.stamp: $(VENV)/python.stamp pyproject.toml
	@echo "Installing cctvsignal into $(VENV) ..."
	@$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/demo.stamp: $(VENV)/python.stamp pyproject.toml
	@echo "Installing cctvsignal and its bridge into $(VENV) ..."
	@$(BIN)/pip install --quiet --editable '.[iot]'
	@touch $@ $(VENV)/run.stamp

$(VENV)/test.stamp: $(VENV)/python.stamp pyproject.toml
	@echo "Installing cctvsignal and what its tests need into $(VENV) ..."
	@$(BIN)/pip install --quiet --editable '.[all]' --group dev
	@touch $@ $(VENV)/run.stamp $(VENV)/demo.stamp
