# Two commands do everything: `make book` and `make test`. Each sets up what it needs; a second run is quick.

VENV := .venv
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help env book test check demo bench notebooks course clean distclean

help: ## show this list
	@echo "llvq_mini: Leech lattice vector quantization, from the Golay code to a 2-bit language model"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: ## set up .venv with the pinned packages, the embedded model and its text
	@.ci/setup

book: env ## execute the chapters and build book/_build/html/index.html
	@$(PY) book/_tools/build.py

test: book ## run every test, the browser tests of the built book included
	@.ci/chromium --install >/dev/null || true
	@$(PY) -m pytest -n auto --dist loadfile

check: env ## lint, types, layers and the fast tests (under two minutes)
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-cache --no-logo
	@$(PY) -m pytest -q -n auto --dist loadfile -m "not slow and not browser"

demo: env ## quantize the embedded model to 2 bits a weight and let it talk
	@$(VENV)/bin/llvq demo

# The tables that take hours go on where they were stopped and are run by name: llm_rivals, llm_ablation, llm_libraries,
# llm_layers, llm_zeroshot, llm_prompts, autoencoder.
BENCHMARKS := codec second_moments spherical_geometry spherical_spectrum llm_embedded packed_cpu memory_time_model kernel_sizes gpu

bench: env ## rerun the benchmarks; their JSON goes to benchmarks/results
	@$(VENV)/bin/llvq bench rd
	@for name in $(BENCHMARKS); do $(PY) benchmarks/$$name.py || exit 1; done

notebooks: env ## write notebooks/*.ipynb anew from the chapters
	@$(PY) book/_tools/notebooks.py

course: env ## write out/course: problem set with autograder, key, slides, quizzes, the book as zip and PDF
	@$(PY) book/_tools/course.py

clean: ## remove what was built, keep .venv
	rm -rf book/_build build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find llvq_mini tests book benchmarks -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)
