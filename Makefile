# Every target works from a fresh clone with the python3 (3.11 or later) in PATH.
# A stamp records what was installed, so a second run starts at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

# Each process that a test starts would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: test lint demo docs format clean

test: $(VENV)/.test
	PYTHONUTF8=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

demo: $(VENV)/.demo
	$(BIN)/voxloom demo

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -E -q docs docs/_build/html

format: $(VENV)/.test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

# Two thirds of what is installed is never imported by the tests: Python compiles what is.
$(VENV)/.test: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --no-compile -e '.[test]'
	touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) -e '.[demo]'
	touch $@

$(VENV)/.docs: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --no-compile -e '.[docs]'
	touch $@
