#!/bin/bash
# What a user's own build sees: install into build/stage, then compile every example in another folder with
# nothing but pkg-config, against libweir.so and against libweir.a. test/outoftree.sh, if
# there is one, checks more with PKG_CONFIG_PATH and LD_LIBRARY_PATH set. Prints ok and not ok lines.
set -uo pipefail

root=$PWD
stage=$root/build/stage
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL

check() { # name command...
    local name=$1
    shift
    if "$@" > "$work/log" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name: $*"
        sed 's/^/    /' "$work/log"
    fi
}

rm -rf "$stage"
check "make install" make --no-print-directory install PREFIX="$stage"
export PKG_CONFIG_PATH=$stage/lib/pkgconfig LD_LIBRARY_PATH=$stage/lib
check "weir.pc is found" pkg-config --exists --print-errors weir
cd "$work" || exit 1
read -ra shared <<< "$(pkg-config --cflags --libs weir)"
read -ra cflags <<< "$(pkg-config --cflags weir)"
read -ra static <<< "$(pkg-config --static --libs weir)"
static=("${static[@]/#-lweir/$stage/lib/libweir.a}")
for source in "$root"/examples/*.c; do
    [ -f "$source" ] || continue
    name=$(basename "$source" .c)
    check "$name with libweir.so" "${CC:-cc}" "$source" "${shared[@]}" -o "$name.shared"
    check "$name with libweir.a" "${CC:-cc}" "${cflags[@]}" "$source" "${static[@]}" -o "$name.static"
done
for header in "$stage"/include/weir/*.h; do
    [ -f "$header" ] || continue
    check "$(basename "$header") stands alone" "${CC:-cc}" "${cflags[@]}" -std=c17 -Wall -Wextra -Werror \
        -fsyntax-only -include "$header" -x c /dev/null
done
cd "$root" || exit 1
if [ -f test/outoftree.sh ]; then
    bash test/outoftree.sh
fi
