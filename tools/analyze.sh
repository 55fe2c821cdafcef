#!/bin/bash
# Run clang-tidy-14 with the checks of .clang-tidy over the product's .c files whose path contains T.
# Not part of the tests: a whole-tree run takes minutes.
set -euo pipefail

mapfile -d '' files < <(find . \( -path ./build -o -path ./.git -o -path ./test \) -prune -o \
    -name '*.c' -path "*${T:-}*" -print0)
[ ${#files[@]} -gt 0 ] || exit 0
printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "${JOBS:-2}" clang-tidy-14 --quiet -p . 2>&1 |
    { grep -v 'warnings\? generated' || true; }
