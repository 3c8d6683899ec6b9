#!/usr/bin/env bash
# All checks (`test.sh check`), all checks and tests (`test.sh all`), or what Spark reads of the lake
# (`test.sh lake-interop`), as the targets of the Makefile run them. Needs what these install. Installs cargo-nextest and cargo-deny below
# .local/ if there are none, or none recent enough, on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

sam_bin=$PWD/.local/venv-sam/bin
cargo_root=$PWD/.local/cargo
tidegate=${CARGO_TARGET_DIR:-target}/debug/tidegate
export PATH=$cargo_root/bin:$PATH SAM_CLI_TELEMETRY=0

say() {
    echo "── $1" >&2
}

# Whether the tool on the PATH has at least this version.
is_recent() { # name, oldest
    local found
    found=$("$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1) || return 1
    [[ $(printf '%s\n%s\n' "$2" "$found" | sort -V | head -n 1) == "$2" ]]
}

need() { # name, oldest that will do, pinned
    if is_recent "$1" "$2"; then return; fi
    say "installing $1 $3 into .local/cargo (some minutes, once)"
    cargo install --locked --root "$cargo_root" "$1@$3" ||
        { echo "error: $1 could not be installed; is there a network?" >&2; exit 1; }
}

check() {
    need cargo-deny 0.20.0 0.20.2
    say "formatting"
    cargo fmt --all --check
    say "lints"
    cargo clippy --workspace --all-targets -- -D warnings
    say "licences, bans, sources"
    cargo deny --log-level error check licenses bans sources
    say "template"
    # The region is only needed to know which resource types there are.
    AWS_DEFAULT_REGION=us-east-1 "$sam_bin/sam" validate --lint
    "$sam_bin/cfn-lint" template.yaml
}

cloud=
end_cloud() {
    local code=$?
    trap - EXIT
    if [[ -n $cloud ]]; then
        "$tidegate" down --dir "$cloud" || code=1
        # The logs of a failed run are worth a look.
        if ((code == 0)); then rm -rf "$cloud"; else echo "the local cloud's logs are in $cloud" >&2; fi
    fi
    exit "$code"
}

run_tests() { # options of nextest
    need cargo-nextest 0.9.143 0.9.151
    say "building the command, the functions and the tests"
    cargo build --workspace
    cargo nextest run --workspace --no-run
    say "a local cloud for the tests"
    trap end_cloud EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cloud=$(mktemp -d "${TMPDIR:-/tmp}/tidegate-test.XXXXXX")
    "$tidegate" up --dir "$cloud" >/dev/null
    say "tests"
    TIDEGATE_CLOUD=$cloud/cloud.json cargo nextest run --workspace "$@"
}

case ${1:-} in
check) check ;;
all)
    check
    say "documentation tests"
    cargo test --doc --workspace --quiet
    run_tests
    ;;
lake-interop) run_tests --run-ignored only -E 'test(spark)' ;;
*)
    echo "usage: $0 check|all|lake-interop" >&2
    exit 2
    ;;
esac
