#!/usr/bin/env bash
# Installs this project into the environment that Snakemake has just made from trackssl.yaml.
# Run from the clone's folder; TRACKSSL_ROOT says where the clone is when --directory is used.
set -euo pipefail
pip install --no-deps "${TRACKSSL_ROOT:-$PWD}"
