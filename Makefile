# Tocsin.  `make run` and `make test` need Python 3.11 or newer and make, nothing else.

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

# The first Python of this machine that is new enough; `make run PYTHON=…` chooses another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)

.PHONY: help run test check bench format lock clean

help:
	@echo "make run     start Tocsin (the first time: make .venv and install into it)"
	@echo "make test    run the tests"
	@echo "make check   format, lint, types, layers, tests with coverage: what CI runs"
	@echo "make bench   measure against a bare Flask view (BENCH='--help' for sizes)"
	@echo "make format  format the code"
	@echo "make lock    pin the requirements anew (needs uv)"
	@echo "make clean   remove .venv and caches; data in var/ stays"

run: .venv/.for-run
	@exec $(BIN)/python -m flask --app wsgi hub --stop-with-parent

test: .venv/.for-test
	$(BIN)/python -m pytest

# With TOCSIN_TEST_DATABASE_URL (a PostgreSQL server) the tests run there too, but those that choose their databases themselves.
check: .venv/.for-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/coverage erase
	env -u TOCSIN_TEST_DATABASE_URL -u TOCSIN_TEST_REDIS_URL $(BIN)/coverage run -m pytest
	test -z "$$TOCSIN_TEST_DATABASE_URL" || $(BIN)/coverage run -m pytest --ignore=tests/hub --ignore=tests/bench
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --include='app/domain/*,app/sources/*,app/core/*' --fail-under=95
	@$(BIN)/coverage report --format=total | sed 's/.*/All of app: & %/'

bench: .venv/.for-test
	$(BIN)/python -m bench $(BENCH)

format: .venv/.for-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	$(LOCK) --output-file requirements.txt requirements.in
	$(LOCK) --constraint requirements.txt --output-file requirements-dev.txt requirements-dev.in

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*

# Stamps: what is installed is installed again only when the pins change.
.venv/.made:
	@test -n "$(PYTHON)" || { echo "Tocsin needs Python 3.11 or newer; this machine has none that is called python3 or python3.11 to python3.14." >&2; exit 1; }
	@echo "Making .venv with $(PYTHON) …"
	@$(PYTHON) -m venv .venv || { echo "No virtual environment could be made. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/.for-run: requirements.txt | .venv/.made
	@echo "Installing what Tocsin runs on …"
	@$(PIP) --requirement requirements.txt
	@touch $@

.venv/.for-test: requirements-dev.txt requirements.txt | .venv/.made
	@echo "Installing what the tests need …"
	@$(PIP) --requirement requirements-dev.txt
	@touch $@ .venv/.for-run
