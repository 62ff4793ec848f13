# Sourced by scripts/demo and scripts/test: makes .venv with this project installed, or brings it up to date.
#
#   PYTHON   interpreter to make the environment with (default: python3)
#   VENV     where it goes (default: .venv in the checkout)

# The environment is brought up to date only when what decides its contents has changed.
make_environment() {  # make_environment [EXTRAS]; without extras what a device gets
    local extras="${1:-}" python="${PYTHON:-python3}"
    VENV="${VENV:-$ROOT/.venv}"
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        echo "cxr-edge needs Python 3.10 or newer; set PYTHON to one" >&2
        exit 1
    fi
    if [ ! -x "$VENV/bin/python" ]; then
        echo "==> making environment $VENV"
        "$python" -m venv "$VENV"
    fi
    local stamp="$VENV/.cxr-edge-${extras:-device}" wanted
    wanted="$(cd "$ROOT" && cat pyproject.toml constraints.txt CMakeLists.txt scripts/environment.sh \
        $(find cxr_edge/native -type f | LC_ALL=C sort) | cksum) $ROOT"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        echo "==> environment $VENV is up to date"
    else
        echo "==> installing cxr-edge${extras:+[$extras]} into $VENV (minutes the first time)"
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -c "$ROOT/constraints.txt" \
            -e "$ROOT${extras:+[$extras]}"
        echo "$wanted" > "$stamp"
    fi
}
