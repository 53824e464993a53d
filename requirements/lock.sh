#!/usr/bin/env bash
# Regenerates cpu.txt, gpu.txt, dev.txt, bench.txt, audit.txt and mlflow.txt from the .in files beside it, with uv. Pins that still
# fit are kept; UPGRADE=1 takes the newest.
# FIND_LINKS may name a folder that holds the CPU build of torch; otherwise UV_INDEX / UV_EXTRA_INDEX_URL apply.
set -euo pipefail
cd "$(dirname "$0")"
common=(--python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-find-links --no-emit-index-url --no-header --no-annotate -q)
cpu_torch=()
[ -n "${FIND_LINKS:-}" ] && cpu_torch+=(--find-links "$FIND_LINKS")
lock() { # name, what it is, further arguments
  local name=$1 what=$2; shift 2
  [ -n "${UPGRADE:-}" ] || cp "$name.txt" "$name.txt.new" 2>/dev/null || true
  uv pip compile "$name.in" "${common[@]}" "$@" -o "$name.txt.new"
  { echo "# $what"; echo "# Made by requirements/lock.sh from $name.in. Install with --no-deps: the list is complete."; cat "$name.txt.new"; } > "$name.txt"
  rm "$name.txt.new"
}
lock cpu "Linux x86-64, Python 3.11, no GPU." --override absent.txt --override absent-on-cpu.txt "${cpu_torch[@]}"
lock gpu "Linux x86-64, Python 3.11, CUDA." --override absent.txt
lock dev "Test and lint tools beside cpu.txt." --override newer-dateutil.txt "${cpu_torch[@]}"
lock bench "The peers that benchmarks/ compares with, beside cpu.txt." --override absent-on-cpu.txt "${cpu_torch[@]}"
lock audit "The tools of make audit, licences and sbom, beside cpu.txt." --override absent-on-cpu.txt "${cpu_torch[@]}"
lock mlflow "MLflow's client, which one test needs, in a folder of its own beside cpu.txt and dev.txt." --override absent-on-cpu.txt --override newer-cachetools.txt "${cpu_torch[@]}"
