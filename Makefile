# make demo   see both sample pipelines run in a real Airflow (ARGS="--once --results OUT" without a person)
# make test   run all tests          make lint   ruff and mypy          make docs   build the pages
#                (DEEP=1: also what takes long; twice the time)
# make clean  remove all state of the demo (`make distclean`: and the installation)
SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell $(name) -c 'import sys; print("$(name)" if (3, 11) <= sys.version_info[:2] < (3, 15) else "")' 2>/dev/null)))
UV_VERSION := 0.13.8
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
ARGS ?=
DEEP ?=
export AIRFLOW_DOMINO_DEEP_TESTS := $(DEEP)

.PHONY: demo test lint format docs env pins clean distclean install

demo: $(INSTALLED)
	@$(BIN)/airflow-domino demo $(ARGS)

# Four processes side by side, since most tests of whole systems wait: the life of runs, parts, parts over HTTP (these two
# give way to the others), and the rest.
LIFE := $(wildcard tests/e2e/test_life_cycle*.py) tests/integration/test_life_cycle_state_machine.py \
	tests/integration/test_benchmarks_run.py
PARTS := tests/unit tests/integration/luigi
SERVERS := tests/integration
without = $(addprefix --ignore=,$(1))

test: $(INSTALLED)
ifeq ($(ARGS),)
	@mkdir -p out; \
	$(BIN)/pytest --durations=15 $(LIFE) >out/tests-life.log 2>&1 & life=$$!; \
	nice -n 5 $(BIN)/pytest --durations=15 $(PARTS) >out/tests-parts.log 2>&1 & parts=$$!; \
	nice -n 5 $(BIN)/pytest --durations=15 $(SERVERS) $(call without,$(LIFE) $(PARTS)) >out/tests-servers.log 2>&1 & \
	servers=$$!; \
	$(BIN)/pytest --durations=15 $(call without,$(LIFE) $(PARTS) $(SERVERS)); others=$$?; \
	wait $$life; life=$$?; wait $$servers; servers=$$?; wait $$parts; parts=$$?; \
	cat out/tests-life.log out/tests-servers.log out/tests-parts.log; \
	test $$others = 0 -a $$life = 0 -a $$servers = 0 -a $$parts = 0
else
	$(BIN)/pytest $(ARGS)
endif

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

# The secrets of docker-compose.yml.
env:
	@$(PYTHON) docker/make_env.py

install: $(INSTALLED)

$(INSTALLED): requirements.txt pyproject.toml hatch_build.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 is needed, and none was found; name one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing into $(VENV) (once; half a minute to two minutes) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# Renew the pins after a change of the dependencies in pyproject.toml.
pins:
	$(BIN)/uv pip compile -q pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.txt

clean:
	rm -rf .airflow-domino .pytest_cache .mypy_cache .ruff_cache

distclean: clean
	rm -rf $(VENV) build out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
