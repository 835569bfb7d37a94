# make demo    forecast a real series, write forecast.png and forecast.csv
# make test    test the installed package
# make docs    build the documentation, docs/_build/html/index.html
# make lint    make types    make clean

PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml constraints.txt README.md LICENSE $(shell find sklearn_rnn -not -path '*__pycache__*')
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test docs lint types clean

demo: .venv/installed-examples
	$(BIN)/python examples/forecast.py

test: .venv/installed-dev
	$(BIN)/pytest -n auto --dist worksteal

docs: .venv/installed-docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/mypy

clean:
	rm -rf .venv docs/_build docs/api docs/examples

$(BIN)/pip:
	$(PYTHON) -m venv .venv

# A stamp is older than a source that changed since, so that only then the package is installed again.
.venv/installed-examples: $(BIN)/pip $(SOURCES)
	$(INSTALL) ".[examples,fast]"
	touch $@

.venv/installed-dev: $(BIN)/pip $(SOURCES)
	$(INSTALL) ".[dev,examples,fast]"
	touch $@ .venv/installed-examples

.venv/installed-docs: $(BIN)/pip $(SOURCES)
	$(INSTALL) ".[docs,fast]"
	touch $@
