# Thin over `python3 -m venv` and `pip`; needs Python 3.11 or newer, pip and make.
# With another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := .venv-bench
COMMA := ,

# One thread a process: several processes share the cores.
THREADS := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1}

# Builds the environment $(1) with the extras $(2). The stamp is written last; an environment that
# a first, interrupted installation left half-made is begun again from nothing (its programs go
# first, so that an interruption of the clearing is seen, too).
define install
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@if [ -e $(1)/.unfinished ] || ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
	  rm -rf $(1)/bin && $(PYTHON) -m venv --clear $(1) || exit 1; fi
	@[ -e $(1)/.installed ] || touch $(1)/.unfinished
	@echo "Installing into $(1) (once, a few minutes)"
	@$(1)/bin/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[$(2)]'
	@rm -f $(1)/.unfinished
endef

.PHONY: help demo test test-all lint docs bench clean

help:
	@echo "make demo      fit, predict and report on a table that ships with scikit-learn"
	@echo "make test      the quick tests"
	@echo "make test-all  all tests, with new random examples"
	@echo "make lint      ruff and pyright"
	@echo "make docs      the site, in docs/_build/html, and its doctests"
	@echo "make bench     the comparisons of benchmarks/ (installs the peers)"
	@echo "make clean     remove what was built"

$(INSTALLED): pyproject.toml constraints.txt
	$(call install,$(VENV),test)
	@touch $@

$(VENV)/.installed-docs: $(INSTALLED)
	$(call install,$(VENV),docs)
	@touch $@

$(BENCH)/.installed: pyproject.toml constraints.txt
	$(call install,$(BENCH),test$(COMMA)bench)
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/python examples/demo.py

test: $(INSTALLED)
	@$(THREADS) $(BIN)/python -m pytest -n 2 -m 'not slow'

test-all: $(INSTALLED)
	@HYPOTHESIS_PROFILE=search $(THREADS) $(BIN)/python -m pytest -n 2

lint: $(INSTALLED)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright

docs: $(VENV)/.installed-docs
	@$(BIN)/python -m sphinx -E -n -W --keep-going -q -b html docs docs/_build/html
	@$(BIN)/python -m sphinx -E -n -W --keep-going -q -b doctest docs docs/_build/doctest
	@echo "docs/_build/html/index.html"

bench: $(BENCH)/.installed
	@for script in benchmarks/*.py; do $(BENCH)/bin/python $$script || exit 1; done

clean:
	rm -rf $(VENV) $(BENCH) build dist demo docs/_build
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find src tests docs examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
