# make demo    install, train the small models once, certify digits, print the table
# make test    install what is missing, run the whole test suite
# make check   ruff, pyright, codespell: what pre-commit and CI run
# make bench   measure speed; not part of the suite
# make chaos   break real runs in every way there is, and keep the table; takes half an hour
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check bench chaos clean

demo: $(INSTALLED)
	$(BIN)/diffsmooth certify digits_diffsmooth --out runs/demo \
	    --set data.subset=first:100 --set sampling.num_estimate=1000

test: $(INSTALLED)
	$(BIN)/python -m pytest

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/codespell pipelines ops tune infra tests docs *.md Makefile pyproject.toml

bench: $(INSTALLED)
	$(BIN)/python tests/bench/table.py --write
	$(BIN)/python tests/bench/read_rate.py --write
	$(BIN)/python tests/bench/scale_images.py --write
	$(BIN)/python tests/bench/scale_units.py --write
	$(BIN)/python tests/bench/scale_ledger.py --write
	$(BIN)/python tests/bench/scale_objects.py --write
	$(BIN)/python tests/bench/busy.py --write
	$(BIN)/python tests/bench/coverage.py --write
	$(BIN)/python tests/bench/rounds.py --write
	$(BIN)/python tests/bench/two_rules.py --write
	$(BIN)/python tests/bench/lattice_noise.py --write
	$(BIN)/python tests/bench/one_pass.py --write
	$(BIN)/python tests/bench/commit_cost.py --write
	$(BIN)/python tests/bench/train_rate.py --write

chaos: $(INSTALLED)
	$(BIN)/python tests/chaos/table.py --write

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "diffsmooth needs Python >= 3.11; $(PYTHON) is older. Run: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) build *.egg-info
