#!/bin/bash
# Builds an image from this clone: cluster/docker/build.sh cpu|cuda [NAME]
# NAME (default: divscale) is given the tag VERSION-cpu or VERSION-cuda, VERSION that of pyproject.toml. ENGINE=podman
# builds with podman. Not yet run.
set -euo pipefail

kind=${1:-}
name=${2:-divscale}
engine=${ENGINE:-docker}
case $kind in
  cpu | cuda) ;;
  *) echo "build.sh: say cpu or cuda: cluster/docker/build.sh cpu [NAME]" >&2; exit 2 ;;
esac
command -v "$engine" >/dev/null || { echo "build.sh: $engine is not installed. ENGINE names another one." >&2; exit 3; }

cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
DOCKER_BUILDKIT=1 "$engine" build --file "cluster/docker/Dockerfile.$kind" --tag "$name:$version-$kind" .
echo "$name:$version-$kind"
