#!/bin/bash
# Rewrite every C file with clang-format-14, or with --check only say what it would change.
set -euo pipefail

mode=(-i)
[ "${1:-}" != --check ] || mode=(--dry-run -Werror)
mapfile -d '' files < <(find . \( -path ./build -o -path ./.git \) -prune -o -name '*.[ch]' -print0)
[ ${#files[@]} -gt 0 ] || exit 0
printf '%s\0' "${files[@]}" | xargs -0 -n 40 -P 2 clang-format-14 --style=file "${mode[@]}"
