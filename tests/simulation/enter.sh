#!/usr/bin/env bash
# Run a command on Linux as it would find itself on macOS: enter.sh COMMAND [ARGUMENT...]
# SIM_MODE: macos (default), or Linux as it may also be: no-memfd, no-gpu, wsl.
# SIM_DIR: a directory that keeps HOME for the next call; by default a temporary one, gone at the end.
set -euo pipefail
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
stop() { echo "enter.sh: $*" >&2; exit 2; }

if [ -z "${SIM_WORK:-}" ]; then
    [ -z "${SIM_INSIDE:-}" ] || stop "this is inside already"
    export SIM_INSIDE=1 SIM_MODE=${SIM_MODE:-macos}
    [ $# -gt 0 ] || stop "say which command to run"
    [[ $SIM_MODE =~ ^(macos|no-memfd|no-gpu|wsl)$ ]] || stop "SIM_MODE is macos, no-memfd, no-gpu or wsl"
    [ "$(id -u)" = 0 ] || stop "root is needed, for mounts: sudo env \"PATH=\$PATH\" $0 $*"
    command -v unshare >/dev/null || stop "unshare is missing; it is part of util-linux"
    command -v cc >/dev/null || stop "a C compiler named cc is missing; the shim is compiled at each start"
    unshare --mount --pid --fork true 2>/dev/null ||
        stop "new namespaces are refused here; a container needs CAP_SYS_ADMIN (docker run --privileged)"
    work=${SIM_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/sim-XXXXXX")}
    [ -n "${SIM_DIR:-}" ] || trap 'rm -rf "$work"' EXIT
    [[ $work =~ ^/[^[:space:]:,]+$ ]] || stop "$work is not absolute, or has a space, a colon or a comma in it"
    mkdir -p "$work"/{bin,python,layers,proc,tmp}
    cc -O1 -Wall -DPROC="\"$work/proc\"" -shared -fPIC -o "$work/bin/shim.so" "$kit/shim.c" -ldl
    cp "$kit/sitecustomize.py" "$work/python/"
    # When its first process ends, a namespace ends: its mounts, and every process left in it.
    SIM_WORK=$work unshare --mount --pid --fork --kill-child bash "$kit/enter.sh" "$@" && exit
    exit $?
fi

[ $$ = 1 ] || stop "SIM_WORK is not for you to set"
work=$SIM_WORK
unset SIM_WORK
mount -t tmpfs tmpfs "$work/layers"
layer() { # DIRECTORY: what changes below it from now on is seen in here alone
    local own=$work/layers/${1//\//_}
    mkdir -p "$own"/{upper,work,before}
    mount --rbind "$1" "$own/before"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$own/upper,workdir=$own/work" "$1"
    # A layer hides what was mounted below: /dev/shm, a container's /etc/resolv.conf.
    awk -v at="$own/before/" 'index($5, at) == 1 { print substr($5, length(at) + 1) }' /proc/self/mountinfo |
        while read -r name; do [ ! -e "$1/$name" ] || mount --rbind "$own/before/$name" "$1/$name"; done
}

layer /etc
layer /dev
rm -f /dev/nvidia*
[ "$SIM_MODE" != wsl ] || touch /dev/dxg
if [ "$SIM_MODE" = macos ]; then
    layer "$(realpath /bin)"
    rm -f /dev/kmsg /bin/ps # nothing here needs one
    mount -t proc proc "$work/proc"
    ln -sfn "$work/proc/self/fd" /dev/fd
    echo "$work/bin/shim.so" >>/etc/ld.so.preload
    # onnxruntime ends without a cpuinfo; the words that mm looks for in it are taken out.
    cpu=$(sed -E 's/ (avx512_bf16|amx_bf16|avx_ne_convert|bf16)\b//g' /proc/cpuinfo)
    mount -t tmpfs tmpfs /proc
    echo "$cpu" >/proc/cpuinfo
    [ ! -d /sys/fs/cgroup ] || mount -t tmpfs tmpfs /sys/fs/cgroup
    ulimit -Sn 256
    export TMPDIR=$work/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/ UV_CACHE_DIR=${UV_CACHE_DIR:-$HOME/.cache/uv}
    mkdir -p "$work/private/${TMPDIR#"$work/"}" "$work/Users/li"/{.config,.local/share}
    ln -sfn private/var "$work/var"
    for name in .config/pip .pip .config/uv .local/share/uv .pyenv; do # the index and the Pythons that you use
        [ ! -e "$HOME/$name" ] || ln -sfn "$HOME/$name" "$work/Users/li/$name"
    done
    unset MM_HOME MM_RUNTIME_DIR ${!XDG_*}
    export HOME=$work/Users/li SIM_PROC=$work/proc
else
    mount -t proc proc /proc
    export MM_HOME=$work/home MM_RUNTIME_DIR=$work/run TMPDIR=$work/tmp SIM_PROC=/proc
fi
export PYTHONPATH=$work/python${PYTHONPATH:+:$PYTHONPATH}
set +e
"$@" # not exec: process 1 of a namespace has to reap what others leave behind
exit $?
