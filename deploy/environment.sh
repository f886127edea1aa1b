#!/bin/sh
# Makes the virtual environment that the Makefile works in, and leaves a current one alone.
# usage: environment.sh <folder> <requirements file>
set -eu
venv=$1
wanted=$2
python=$venv/bin/python
stamp=$venv/installed-$wanted # holds what was installed: equal means nothing is to do

fit() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if cmp -s "$wanted" "$stamp" && fit "$python"; then
    exit 0
fi

if ! fit "$python" || ! "$python" -m pip --version >/dev/null 2>&1; then
    found=
    for each in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
        if fit "$each"; then
            found=$each
            break
        fi
    done
    if [ -z "$found" ]; then
        echo "Yingda needs Python 3.11 or newer; found: $(python3 --version 2>&1 || echo none)." >&2
        echo "Install it (Debian 12: apt install python3 python3-venv), or name one: make run PYTHON=/path/to/python3.11" >&2
        exit 1
    fi
    rm -rf "$venv"
    echo "Making $venv with $("$found" --version) …"
    if ! "$found" -m venv "$venv" >"${TMPDIR:-/tmp}/yingda-venv.$$" 2>&1; then
        cat "${TMPDIR:-/tmp}/yingda-venv.$$" >&2
        rm -rf "$venv" "${TMPDIR:-/tmp}/yingda-venv.$$"
        echo "$found cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
    rm -f "${TMPDIR:-/tmp}/yingda-venv.$$"
fi

echo "Installing $wanted (the first time takes a minute) …"
if ! "$python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$wanted"; then
    echo "The packages could not be installed: the lines above say which. Run the same command again once that is solved." >&2
    exit 1
fi
cp "$wanted" "$stamp"
