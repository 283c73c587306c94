# Sourced by ./run and ./test: makes a virtual environment with hasim in it, once.

# Prints the first Python on the PATH that is new enough and really starts.
find_python() {
    local python
    for python in python3 python3.13 python3.12 python3.11 python; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# Debian keeps venv (and a bare machine Python itself) in packages of their own; root may fetch them.
require_python() {
    python=$(find_python) && "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv
        python=$(find_python) && "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    fi
    echo "hasim needs Python 3.11 or newer with its venv module (on Debian: apt install python3-venv)" >&2
    return 1
}

# ensure_venv FOLDER WHAT: FOLDER holds an editable install of WHAT, such as ".[dev]". Run from the project's root.
# The stamp, written last, remembers what was asked for and where: a changed pyproject.toml, a moved checkout or
# an interrupted install starts afresh.
ensure_venv() {
    local folder=$1 what=$2 wanted python
    wanted="$what in $PWD, pyproject.toml $(cksum < pyproject.toml)"
    if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    require_python || return
    echo "setting up $folder with $("$python" --version), a minute or two, only this once" >&2
    "$python" -m venv --clear "$folder" &&
        "$folder/bin/python" -m pip install -qq --disable-pip-version-check --editable "$what" >&2 &&
        echo "$wanted" > "$folder/stamp"
}
