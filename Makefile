# make demo: set everything up and run the miniature; make test: set everything up and test;
# make test-slurm: the same on a cluster of its own.
.PHONY: setup demo study test test-slurm test-docs check docs

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
# Where Python may not keep compiled modules, each of a run's hundred commands compiles PyTorch anew.
unexport PYTHONDONTWRITEBYTECODE
# make setup TORCH=cpu takes PyTorch's CPU wheels (a tenth of the size) where their index answers.
# Their hashes are not in the lock: they stand under another version, such as 2.15.0+cpu.
TORCH ?= default
LOCK := envs/requirements.txt
UV_PIP := $(BIN)/uv pip

setup: $(VENV)/installed

$(VENV)/installed: $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("trackssl needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
ifeq ($(TORCH),cpu)
	awk '/^[a-z]/ {keep = !/^(torch|torchvision|triton|nvidia-[a-z0-9-]+|cuda-[a-z]+)==/} keep' $(LOCK) > $(VENV)/lock.txt
	$(UV_PIP) install --quiet --python $(BIN)/python --no-deps --require-hashes -r $(VENV)/lock.txt
	$(UV_PIP) install --quiet --python $(BIN)/python --torch-backend cpu $$(grep -oE '^torch(vision)?==[0-9.]+' $(LOCK))
else
	$(UV_PIP) sync --quiet --python $(BIN)/python $(LOCK)
endif
	$(UV_PIP) install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	snakemake --cores all results/voc_map.csv
	@trackssl show-table results/voc_map.csv

# Three seeds and longer trainings: does each of the paper's steps help? Two hours on two cores.
study: setup
	snakemake --cores all --directory runs/study --configfile config/study.yaml
	@trackssl show-table runs/study/results/voc_map.csv

# As many workers as cores; each takes whole test files, so that no drawn world is drawn twice.
test: setup
	pytest -n logical --maxprocesses 8 --dist loadscope --no-loadscope-reorder

# A real SLURM of two nodes on this machine, as root on Debian; ONLY="words" chooses tests by name.
SLURM_PACKAGES := slurmctld slurmd slurm-client munge
test-slurm: setup
	@test "$$(id -u)" = 0 || { echo "make test-slurm starts a SLURM of its own and needs root (a container will do)." >&2; exit 1; }
	@dpkg -s $(SLURM_PACKAGES) > /dev/null 2>&1 || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends $(SLURM_PACKAGES); }
	pytest -m slurm tests/pipeline/test_slurm.py -s $(if $(ONLY),-k "$(ONLY)")

check: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	mypy
	snakemake --lint
	@trackssl config-schema | diff workflow/schemas/config.schema.yaml - && echo "The schema is up to date."

# The pages of docs/, with a reference that is written from the code: docs/_build/html/index.html.
docs: setup
	sphinx-build -W --keep-going -q -b html docs docs/_build/html

# All that the README and the documentation show, typed in a fresh clone. An hour.
test-docs: setup
	pytest -m docs tests/docs -s
