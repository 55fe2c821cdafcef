#!/bin/bash
# The example of the README, built as its reader would: outside of the tree, with pkg-config, and run.
# Called by tools/outoftree.sh with PKG_CONFIG_PATH and LD_LIBRARY_PATH set. Prints ok and not ok lines.
set -uo pipefail

root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

check() { # name command...
    local name=$1
    shift
    if "$@" > log 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name: $*"
        sed 's/^/    /' log
    fi
}

# The last count of each word, sorted: what a reader of the output ends up with.
latest_counts() {
    sed -n 's/^{"text":"\(.*\)","count":\([0-9]*\)}$/\1 \2/p' "$1" |
        awk '{ count[$1] = $2 } END { for (word in count) print word, count[word] }' | sort
}

same_counts() { # name program arguments...
    local name=$1
    shift
    check "$name runs" timeout 60 "$@"
    latest_counts log > counts
    check "$name counts right" diff expected counts
}

mkdir texts
echo "to be or not to be" > texts/one.txt
printf 'to  be, to do\n\nor not' > texts/two.txt # two spaces, an empty line, no line feed at the end
printf '%s\n' "be 2" "be, 1" "do 1" "not 2" "or 2" "to 4" > expected
cp "$root/examples/wordcount.c" .
read -ra flags <<< "$(pkg-config --cflags --libs weir)"
check "wordcount compiles with cc and pkg-config alone" \
    "${CC:-cc}" -std=c17 -Wall -Wextra -Wpedantic -Werror wordcount.c "${flags[@]}" -o wordcount
same_counts "wordcount" ./wordcount run --input texts
same_counts "wordcount on two cores with checkpoints" \
    ./wordcount run --input texts --parallelism 2 --checkpoints checkpoints
check "wordcount explains itself" bash -c "./wordcount explain --input texts > plan"
check "the plan has its operators" grep -q "lines -> split" plan

stage=$root/build/stage
# The daemons start from what was installed, and their units are ones that systemd understands.
check "weir-jobmanager is installed" "$stage/bin/weir-jobmanager" --version
check "weir-taskmanager is installed" "$stage/bin/weir-taskmanager" --version
check "the configuration is installed" test -s "$stage/etc/weir/weir.yaml"
for page in man1/weir.1 man5/weir.yaml.5 man8/weir-jobmanager.8 man8/weir-taskmanager.8; do
    check "the page $page is installed" test -s "$stage/share/man/$page"
done
for unit in "$stage"/lib/systemd/system/*.service; do
    check "$(basename "$unit") has no placeholder" sh -c "! grep -q '@PREFIX@' '$unit'"
    check "$(basename "$unit") is a unit" systemd-analyze verify --man=no --recursive-errors=no "$unit"
done
