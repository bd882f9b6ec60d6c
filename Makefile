# Each target makes the virtual environment it needs; python3 (3.11 or newer) and make are enough.
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= laws
LAWS ?= tests/properties
# make test ARGS="tests/test_keys.py -k round_trip"
ARGS ?=

# Hundreds of processes are started: they find what they import compiled, whatever the machine is set to.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What is imported is compiled then.
export PIP_NO_COMPILE := 1
# The range in pyproject.toml decides which pyright runs, not its newest release.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

DEMO := $(VENV)/demo
BENCH := $(VENV)/bench
TEST := $(VENV)/test
CHECK := $(VENV)/check
SOURCES := $(shell find src -name '*.py')
CHECKED := $(wildcard conftest.py src tests tools examples bench)

.PHONY: environments demo test check lint types coverage format bench crash chaos storms laws explore mutants mutmut survivors kit sizes clean

demo: $(DEMO)/.stamp  ## an order shop on SQLite whose worker is killed again and again
	$(DEMO)/bin/python -m examples.checkout demo $(ARGS)

test: $(TEST)/.stamp  ## the test-suite and every fence of the docs
	$(TEST)/bin/coverage run -m pytest $(ARGS)

check: lint types test coverage  ## everything CI checks

lint: $(CHECK)/.stamp
	$(CHECK)/bin/ruff format --check
	$(CHECK)/bin/ruff check
	$(CHECK)/bin/lint-imports

types: $(CHECK)/.stamp  ## mypy over everything; mypy and pyright over the programs of tests/typing
	$(CHECK)/bin/mypy $(CHECKED)
	$(CHECK)/bin/python -m pytest tests/typing

coverage: $(TEST)/.stamp  ## of the last `make test`; the pure core must be complete
	$(TEST)/bin/coverage report
	$(TEST)/bin/coverage report --fail-under=100 --include='src/wfcore/*' \
	    --omit='src/wfcore/runner/*,src/wfcore/testing/*'

format: $(CHECK)/.stamp
	$(CHECK)/bin/ruff check --fix-only
	$(CHECK)/bin/ruff format

bench: $(BENCH)/.stamp  ## ratios against the floors; ARGS=--quick, ARGS='--profile ticks'
	$(BENCH)/bin/python -m bench $(ARGS)

crash: $(TEST)/.stamp  ## 1,000 times kill -9
	$(TEST)/bin/python -m tests.crash --cycles 1000 $(ARGS)

chaos: $(TEST)/.stamp  ## 1,000 times kill -9 among four dispatcher processes on one database; ARGS="--store postgres"
	$(TEST)/bin/python -m tests.crash --processes 4 --cycles 1000 $(ARGS)

storms: $(TEST)/.stamp  ## 100 seeds of every storm: 24 instances, two dispatchers; ARGS="--seeds 1000"
	$(TEST)/bin/python -m tests.storms $(ARGS)

kit: $(TEST)/.stamp  ## the wheel, pytest and the pages about testing, in an empty folder; ARGS=check-one-tick.md
	$(TEST)/bin/python -m tests.packaging $(ARGS)

laws: $(TEST)/.stamp  ## 50,000 examples of every law; PROFILE=ci: 1,000
	WFCORE_HYPOTHESIS_PROFILE=$(PROFILE) $(TEST)/bin/python -m pytest $(LAWS) -o faulthandler_timeout=0 $(ARGS)

explore: $(TEST)/.stamp  ## every interleaving of eight workflows, 3 dispatchers; ARGS="--dispatchers 2 retry saga"
	$(TEST)/bin/python -m tests.explore $(or $(ARGS),--dispatchers 3)

mutants: $(TEST)/.stamp  ## a patch that breaks each rule, and the test that fails; ARGS="G4 S"
	$(TEST)/bin/python -m tests.mutants $(ARGS)

mutmut: $(CHECK)/.stamp  ## mutants of every line of the planner and of evolve; ARGS='wfcore.evolve.*'
	WFCORE_HYPOTHESIS_PROFILE=mutants $(CHECK)/bin/mutmut run $(ARGS)
	$(CHECK)/bin/python -m tests.mutants.survivors

survivors: $(CHECK)/.stamp  ## does each listed survivor still exist? Nothing is run
	$(CHECK)/bin/python -m tests.mutants.survivors --names

sizes:  ## operations per port, lines of code per adapter
	$(PYTHON) tools/sizes.py

environments: $(TEST)/.stamp $(CHECK)/.stamp $(DEMO)/.stamp  ## all that CI needs

clean:
	rm -rf $(VENV) .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist mutants

# The demo and the benchmark use the package as a user has it: built and installed.
$(DEMO)/.stamp: pyproject.toml $(SOURCES)
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet .
	touch $@

# With PostgreSQL: the driver, and a server's programs.
$(BENCH)/.stamp: pyproject.toml $(SOURCES)
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet '.[test]'
	touch $@

$(TEST)/.stamp: pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python -m pip install --quiet --editable '.[test]'
	touch $@

$(CHECK)/.stamp: pyproject.toml
	$(PYTHON) -m venv $(CHECK)
	$(CHECK)/bin/python -m pip install --quiet --editable '.[dev]'
	touch $@
