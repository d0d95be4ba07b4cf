# make run: sets up and trains DQN on CartPole.   make test: sets up and passes the tests, exactly as CI does.
# make test-all: the same with the cases that are marked as slow.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
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
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
