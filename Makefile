# make demo    install, train the small models once, certify digits, print the table
# make test    install what is missing, run the whole test suite
# make check   ruff, pyright, codespell: what pre-commit and CI run
# make table1-digits   train and certify every row of DiffSmooth's Table 1 on digits; half an hour
# make table1-cifar10  the same with small networks on CIFAR-10, from $DIFFSMOOTH_DATA
# make purifiers-digits  train and certify every purifier on digits; 25 minutes
# make bench   measure speed; not part of the suite
# make chaos   break real runs in every way there is, and keep the table; takes half an hour
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TABLE1 := gaussian smoothadv smoothadv_extra macer consistency smoothmix boosting \
    dds_standard dds_smoothed diffsmooth_gaussian diffsmooth_smoothadv diffsmooth_smoothadv_extra
SMALL := $(filter-out %_extra,$(TABLE1))
PURIFIERS := dncnn dds edm pf_ode densepure calibrated consistency_purification \
    consistency_finetuned multiscale

.PHONY: demo test check table1-digits table1-cifar10 purifiers-digits bench chaos clean

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

table1-digits: $(INSTALLED)
	for row in $(TABLE1); do \
	    $(BIN)/diffsmooth certify table1_digits_$$row --out runs/table1-digits/$$row || exit 1; \
	done
	$(BIN)/diffsmooth report $(TABLE1:%=runs/table1-digits/%) --out runs/table1-digits/report

table1-cifar10: $(INSTALLED)
	for row in $(SMALL); do \
	    $(BIN)/diffsmooth certify table1_cifar10_small_$$row --out runs/table1-cifar10/$$row || exit 1; \
	done
	$(BIN)/diffsmooth report $(SMALL:%=runs/table1-cifar10/%) --out runs/table1-cifar10/report

purifiers-digits: $(INSTALLED)
	for row in $(PURIFIERS); do \
	    $(BIN)/diffsmooth certify digits_$$row --out runs/purifiers-digits/$$row \
	        --set data.subset=first:100 --set sampling.num_estimate=300 || exit 1; \
	done
	$(BIN)/diffsmooth report $(PURIFIERS:%=runs/purifiers-digits/%) --out runs/purifiers-digits/report

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
