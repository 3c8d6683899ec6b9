#!/usr/bin/env bash
# Runs each fuzz target of tests/fuzz for FUZZ_SECONDS (20), or those that are named: `fuzz.sh cbor json`. What a target
# finds lies in tests/fuzz/artifacts; what it has learnt in tests/fuzz/corpus, from which the next run goes on.
set -euo pipefail

version=0.13.2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${TIDEGATE_LOCAL_DIR:-$root/.local}/cargo-fuzz
seconds=${FUZZ_SECONDS:-20}
# The sanitizers are switches of the compiler that only its nightly builds take unasked.
export RUSTC_BOOTSTRAP=1

if ! "$tools/bin/cargo-fuzz" --version 2>/dev/null | grep -qF "$version"; then
    echo "installing cargo-fuzz $version into $tools (a minute or more, once)"
    cargo install cargo-fuzz --version "$version" --locked --quiet --root "$tools"
fi

cd "$root"
fuzz=("$tools/bin/cargo-fuzz" fuzz)
if [[ $# -gt 0 ]]; then targets=("$@"); else mapfile -t targets < <("${fuzz[@]}" list --fuzz-dir tests/fuzz); fi
for target in "${targets[@]}"; do
    corpus=tests/fuzz/corpus/$target
    mkdir -p "$corpus"
    log=$(mktemp)
    if "${fuzz[@]}" run --fuzz-dir tests/fuzz "$target" "$corpus" "tests/fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
        first=$(grep -m 1 -oE 'INITED cov: [0-9]+' "$log" | grep -oE '[0-9]+$' || echo 0)
        last=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | grep -oE '[0-9]+$' || echo 0)
        runs=$(grep -oE 'number_of_executed_units: [0-9]+' "$log" | grep -oE '[0-9]+$' || echo 0)
        echo "$target: $runs executions in $seconds s, coverage $first to $last"
        rm -f "$log"
    else
        tail -n 40 "$log"
        echo "error: the fuzz target $target has failed; all that it said is in $log" >&2
        exit 1
    fi
done
