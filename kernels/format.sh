#!/bin/sh
# Formats every C and CUDA file under kernels/ with clang-format and the settings in .clang-format.
# With --check: changes nothing, and fails if a file would change.
set -eu
cd "$(dirname "$0")/.."

case "${1-}" in
    "") mode="-i" ;;
    --check) mode="--dry-run --Werror" ;;
    *) echo "usage: sh kernels/format.sh [--check]" >&2; exit 2 ;;
esac
if ! command -v clang-format >/dev/null; then
    echo "kernels/format.sh: clang-format not found; install the package clang-format (apt-get install clang-format)" >&2
    exit 1
fi
# shellcheck disable=SC2086 # $mode is one or two words
find kernels -type f \( -name '*.c' -o -name '*.cu' -o -name '*.h' -o -name '*.inc' \) -exec clang-format $mode {} +
