# make run: sets up and trains DQN on CartPole.   make test: sets up and passes the tests, exactly as CI does.
# make test-all: the same with the cases that are marked as slow.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python compiles a module when it is first imported; to compile all 20,000 at once takes longer than to install them.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable
export OMP_NUM_THREADS ?= 1

.PHONY: run test test-all check clean

run: $(VENV)/.installed
	$(BIN)/python -m lab +agent=dqn env=CartPole

test: $(VENV)/.dev check
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not slow"

test-all: $(VENV)/.dev check
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) .
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
