#!/usr/bin/env bash
# Installs pinned tools below .local/ (or $TIDEGATE_LOCAL_DIR), each into an environment of its own, because they pin
# different versions of the same packages. `install.sh` alone installs what the local cloud needs:
#   venv-ministack  the local cloud itself
#   venv-sam        sam, cfn-lint, cargo-lambda
# and `install.sh NAME…` what is named:
#   venv-lake       pyarrow, DuckDB, Polars: readers of the lake, for the tests and for `make bench`
#   venv-spark      Spark, for `make lake-interop`
# Run it as often as you like: when nothing changed it returns at once. To change a version, edit the .in file, then:
#   uv pip compile --generate-hashes --python-version 3.10 --universal --no-emit-package ziglang NAME.in -o NAME.txt
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${TIDEGATE_LOCAL_DIR:-$here/../../.local}
mkdir -p "$root" 2>/dev/null || { echo "error: cannot create the folder $root" >&2; exit 1; }
root=$(cd "$root" && pwd)
unfinished=

fail() {
    echo "error: $1" >&2
    exit 1
}

# A failed or interrupted run leaves no environment that looks finished.
clean_up() {
    if [[ -n $unfinished ]]; then rm -rf "$unfinished"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

digest() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

# The path is part of the stamp, because an environment does not survive a move.
stamp_of() { # venv, lock files
    { echo "$1"; cat "${@:2}"; } | digest | cut -d ' ' -f 1
}

# The first Python in reach that the pinned tools support (cfn-lint stops before 3.15).
find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    if found=$(python3 --version 2>/dev/null); then
        fail "the local cloud needs Python 3.10 to 3.14, and python3 is $found; install one of these beside it"
    fi
    fail "the local cloud needs Python 3.10 to 3.14, and there is no python3 on the PATH"
}

install_locked() { # venv, lock file, more options
    local log=$root/install.log
    # The lock is complete, so pip resolves nothing (--no-deps). Wheels only: nothing in the lock needs a
    # compiler, and a source package would run code of its own.
    if "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --retries 2 \
        --require-hashes --no-deps --only-binary :all: "${@:3}" -r "$2" >"$log" 2>&1; then
        rm -f "$log"
        return
    fi
    if grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError|Connection (broken|aborted|refused|timed out)|from versions: none' "$log"; then
        fail "no network: the Python package index cannot be reached; see $log"
    fi
    fail "pip could not install $(basename "$2"): $(grep -m 1 -i error "$log" || tail -n 1 "$log"); see $log"
}

install_venv() { # name
    local venv=$root/venv-$1 locks=("$here/$1.txt") options=() log=$root/install.log stamp python lock
    if [[ $1 == spark ]]; then
        # pyspark is there as source alone. Its setup runs with the setuptools of the first lock, not with
        # whatever is newest that day.
        locks=("$here/spark-build.txt" "$here/spark.txt")
        options=(--no-binary pyspark --no-build-isolation)
    fi
    stamp=$(stamp_of "$venv" "${locks[@]}")
    # `-x` follows the link: it notices when the Python beneath has been removed.
    if [[ -x $venv/bin/python && $(cat "$venv/.stamp" 2>/dev/null) == "$stamp" ]]; then return; fi

    python=$(find_python)
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$python has no venv module; install it (on Debian and Ubuntu: apt install python3-venv)"
    echo "installing $1 into $venv (half a minute or more, once)"
    unfinished=$venv
    rm -rf "$venv"
    "$python" -m venv "$venv" >"$log" 2>&1 || fail "$python could not make a virtual environment; see $log"
    # `+`: to the bash of macOS an empty array is unset.
    for lock in "${locks[@]}"; do install_locked "$venv" "$lock" ${options[@]+"${options[@]}"}; done
    echo "$stamp" >"$venv/.stamp"
    unfinished=
}

# Two runs at once would undo each other's work; macOS has no flock and goes without.
if command -v flock >/dev/null; then
    exec 9>"$root/install.lock"
    flock 9
fi
if (($# == 0)); then set -- ministack sam; fi
for name; do
    [[ -f $here/$name.txt ]] || fail "there is nothing to install by the name of $name"
    install_venv "$name"
done
