# shellcheck shell=sh
# Sourced by bin/samvad and bin/test, which set $root. Prepares $root/.venv, once, and says nothing after that.
#
#   bootstrap LOCK        .venv holds what LOCK names, each file checked against its hash, and sees src/
#
# .venv/.samvad-setup tells what stands in .venv:
#   no such file          a new .venv, or one made by hand: installed into as it is
#   "incomplete"          a set-up began and did not end: .venv is built anew
#   "LOCK CHECKSUM SIZE"  one line for each lock file that is installed: nothing to do
#
# Everything said here goes to stderr, for stdout belongs to the command. Folders named in the environment for
# another Python's sake would be seen by ours too, so they are dropped.

unset PYTHONPATH PYTHONHOME

venv=$root/.venv
python=$venv/bin/python
setup=$venv/.samvad-setup
lock=$venv/.samvad-lock

wait_limit_s=900   # a slow line downloads everything in less; past it a person should look
pythons="python3.13 python3.12 python3.11 python3"

bootstrap() {
    _is_installed "$1" && return
    mkdir -p "$venv" || _die "$venv cannot be written to."
    trap _unlock EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    _lock
    _is_installed "$1" || _set_up "$1"
    _unlock
    trap - EXIT HUP INT TERM
}

_is_installed() {
    [ -x "$python" ] && [ -f "$setup" ] || return 1
    wanted="$1 $(cksum <"$root/$1")"
    while read -r line; do
        [ "$line" = "$wanted" ] && return 0
    done <"$setup"
    return 1
}

_set_up() {
    started=$(date +%s)
    if _must_build; then
        _find_python
        rm -rf "$venv/bin" "$venv/include" "$venv/lib" "$venv/lib64" "$venv/share" "$venv/pyvenv.cfg"
        _say "$("$base" --version) into .venv"
        _begin
        _run "$base" -m venv --without-pip "$venv" >&2 || _die "$base could not make .venv."
    else
        _begin
    fi
    _say "$(grep -c '^[a-zA-Z0-9]' "$root/$1") packages of $1; this may take a minute"
    _install "$1"
    _see_src || _die "$venv cannot be written to."
    _done "$1"
    _say "done in $(($(date +%s) - started)) s"
}

_must_build() {
    [ -f "$setup" ] && read -r state <"$setup" && [ "$state" = incomplete ] && return 0
    ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Sets $base to an interpreter that is in no virtual environment itself and can make one.
_find_python() {
    base=
    crippled=
    for name in $pythons; do
        found=$("$name" -c 'import sys; sys.version_info < (3, 11) or print(sys._base_executable)' 2>/dev/null) || continue
        [ -n "$found" ] || continue
        if _has uv || "$found" -c 'import ensurepip' 2>/dev/null; then
            base=$found
            return
        fi
        crippled=$found
    done
    if _has uv && base=$(uv python find --no-project '>=3.11' 2>/dev/null) && [ -n "$base" ]; then
        return
    fi
    [ -z "$crippled" ] || _die "$crippled has no pip to install with." \
        "On Debian and Ubuntu: apt-get install python3-venv. Or install uv, anywhere."
    _die "Samvad needs Python 3.11 or newer, and none of these is on the PATH: $pythons." \
        "On Debian and Ubuntu: apt-get install python3 python3-venv. On macOS: brew install python."
}

# uv is some ten times faster; pip may know a package index that uv was not told of. Both compile: the account that
# runs Samvad later may not be allowed to write here.
_install() {
    if _has uv; then
        _run uv pip install --quiet --compile-bytecode --python "$python" --require-hashes -r "$root/$1" >&2 && return
        _say "uv could not; trying pip"
    fi
    "$python" -m pip --version >/dev/null 2>&1 ||
        _run "$python" -m ensurepip >/dev/null ||
        _die "$python has no pip to install with. On Debian and Ubuntu: apt-get install python3-venv. Or install uv, anywhere."
    _run env PIP_USER=0 "$python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$root/$1" >&2 ||
        _die "The packages of $1 could not be installed; the reason stands above. The next start tries again."
}

# A path file instead of an installed package: no build step, and what is edited is what runs. The path is
# relative, so that the folder may be moved.
_see_src() {
    "$python" -c '
import os, sys, sysconfig
site = sysconfig.get_path("purelib")
with open(os.path.join(site, "samvad.pth"), "w") as path_file:
    path_file.write(os.path.relpath(sys.argv[1], site) + "\n")
' "$root/src"
}

_begin() {
    echo incomplete >"$setup" || _die "$setup cannot be written to."
}

# The development lock holds everything of the other one (tests/house sees to it).
_done() {
    for name in requirements.lock requirements-dev.lock; do
        if [ "$name" = requirements.lock ] || [ "$name" = "$1" ]; then
            echo "$name $(cksum <"$root/$name")"
        fi
    done >"$setup.new"
    mv -f "$setup.new" "$setup"
}

# The lock is a folder, for making one succeeds once only; in it, one file pid.N for each process at work.
# A process that was killed leaves its file behind, so a lock whose processes are all dead is taken away. Of
# several that try, only the one whose rm succeeds goes on to rmdir.
_lock() {
    waited_s=0
    told=
    until mkdir "$lock" 2>/dev/null && true 2>/dev/null >"$lock/pid.$$"; do
        [ -d "$lock" ] || [ -w "$venv" ] || _die "$venv cannot be written to."
        [ "$waited_s" -lt "$wait_limit_s" ] ||
            _die "Another start has been setting up for $((wait_limit_s / 60)) minutes. If there is none, remove $lock."
        if ! _clear_dead; then
            [ -n "$told" ] || _say "another start is at it; waiting"
            told=yes
            sleep 1
        fi
        waited_s=$((waited_s + 1))
    done
    locked=yes
}

_clear_dead() {
    files=
    for file in "$lock"/pid.*; do
        [ -e "$file" ] || continue
        _is_alive "${file##*.}" && return 1
        files=yes
        rm "$file" 2>/dev/null || return 1
    done
    # An empty lock is one being made, or whose maker died at once: it gets some seconds.
    [ -n "$files" ] || [ "$waited_s" -ge 5 ] || return 1
    rmdir "$lock" 2>/dev/null
}

_is_alive() {
    # Ours is not: a container gives the same numbers again at its next start.
    [ "$1" != $$ ] && { kill -0 "$1" 2>/dev/null || [ -d "/proc/$1" ]; }
}

# Runs a command that a later start must wait for even if this shell is killed and the command is not.
_run() {
    "$@" &
    child=$!
    true >"$lock/pid.$child"
    status=0
    wait "$child" || status=$?
    rm -f "$lock/pid.$child"
    child=
    return "$status"
}

_unlock() {
    [ "${locked-}" = yes ] || return 0
    if [ -n "${child-}" ]; then
        kill "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
        rm -f "$lock/pid.$child"
    fi
    rm -f "$lock/pid.$$"
    rmdir "$lock" 2>/dev/null || true
    locked=no
}

_has() {
    command -v "$1" >/dev/null 2>&1
}

_say() {
    printf 'Setting up Samvad (once): %s\n' "$*" >&2
}

_die() {
    printf '%s\n' "$@" >&2
    exit 1
}
