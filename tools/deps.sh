#!/bin/bash
# Install the Debian 12 packages Weir needs: deps.sh build|test...
#   build   to compile the library and the jobs, and to run the demonstration
#   test    what the tests need on top: other compilers, checkers, and Java for a Kafka broker
# Only what dpkg does not report as installed is fetched; when nothing is missing this says nothing,
# needs no network and no rights. Programs that are on PATH from elsewhere (a JDK, Maven, Python) are
# not installed again.
set -euo pipefail

# group | package | program that makes it unnecessary, or - | what for
packages='
build | gcc                    | gcc          | the C compiler
build | libc6-dev              | -            | headers of the C library
build | make                   | make         | the build
build | pkg-config             | pkg-config   | finds the libraries below
build | python3                | python3      | tools and test runner
build | librdkafka-dev         | -            | Kafka client
build | librocksdb-dev         | -            | state store
build | libxxhash-dev          | -            | checksums and hashes
build | libmsgpack-dev         | -            | portable encoding of state
build | zlib1g-dev             | -            | compression
build | liblz4-dev             | -            | compression
build | libyaml-dev            | -            | the file that configures a cluster
build | libzookeeper-mt-dev    | -            | election of a job manager
build | libevent-dev           | -            | event loop of control connections and HTTP
build | libssl-dev             | -            | TLS
build | libcurl4-openssl-dev   | -            | HTTP client
build | libjansson-dev         | -            | reads the JSON of requests and answers
test  | libcmocka-dev          | -            | unit tests
test  | clang-14               | clang-14     | second compiler, fuzzers
test  | libclang-rt-14-dev     | -            | runtime of the fuzzers and sanitizers
test  | llvm-14                | -            | readable stacks of the fuzzers
test  | clang-format-14        | clang-format-14 | format check
test  | clang-tidy-14          | clang-tidy-14 | static analysis
test  | spin                   | spin         | checks the models of the protocol
test  | default-jre-headless   | java         | runs the Kafka broker of the end-to-end tests
test  | zookeeper              | -            | server for the tests of the election
test  | libzookeeper-java      | -            | the same
test  | default-jdk-headless   | javac        | compiles the twin of the events that benchmarks are made of
test  | strace                 | strace       | makes calls of a process fail, or take long
test  | valgrind               | valgrind     | counts instructions of the hot paths
test  | systemd                | systemd-analyze | judges the units that are installed
test  | maven                  | mvn          | fetches that broker
test  | chromium-headless-shell | chromium     | reads the pages that a cluster shows
'

die() {
    echo "deps: $*" >&2
    exit 1
}

installed() { # package program
    [ "$2" = - ] || ! command -v "$2" > /dev/null || return 0
    dpkg-query -W -f '${Status}' "$1" 2> /dev/null | grep -q '^install ok installed$'
}

trim() { sed 's/^ *//; s/ *$//' <<< "$1"; }

missing=() # packages of the groups asked for that are not there
list_missing() {
    local group package program reason
    while IFS='|' read -r group package program reason; do
        group=$(trim "$group") package=$(trim "$package") program=$(trim "$program")
        [ -n "$group" ] && [[ " $* " = *" $group "* ]] || continue
        if ! installed "$package" "$program"; then
            printf 'deps: needs %-22s %s\n' "$package" "$(trim "$reason")"
            missing+=("$package")
        fi
    done <<< "$packages"
}

# Mirrors fail now and then; three tries with a pause, each with apt's own time-outs.
apt() {
    local try
    for try in 1 2 3; do
        timeout 900 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
            -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 \
            -o DPkg::Lock::Timeout=300 "$@" && return 0
        echo "deps: apt-get $1 failed, try $try of 3" >&2
        [ "$try" = 3 ] || sleep $((try * 5))
    done
    return 1
}

[ $# -gt 0 ] || set -- build test
for group in "$@"; do
    [[ $group = build || $group = test ]] || die "there is no group '$group', only build and test"
done
command -v dpkg-query > /dev/null ||
    die "this is not Debian: install what 'grep \" | \" tools/deps.sh' lists by hand, then use make directly"
list_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || die "neither root nor sudo: as root, run: apt-get install ${missing[*]}"
    as_root=(sudo)
fi
apt update || die "apt-get update failed: is the network reachable?"
apt install --no-install-recommends "${missing[@]}" || die "could not install: ${missing[*]}"
