# shellcheck shell=bash
# What the lab's scripts share. Source it after `set -euo pipefail`.
shopt -s inherit_errexit

lab_parts=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
lab_cache=${XDG_CACHE_HOME:-$HOME/.cache}/kvm-vfio/lab

say() {
    echo "lab: $*" >&2
}

source "$lab_parts/../own-folder.sh"

# 125 tells a failure of the lab from one of the command that runs in it, as other programs that run programs do.
fail() {
    say "$*"
    exit 125
}

# The lab's machine is an x86-64 one wherever it is emulated.
debian_package() {
    "$lab_parts/../debian-package" --arch amd64 "$@" || fail "cannot get these packages of Debian: $*"
}

# find_program FOLDER PATH: sets the array `program` to the command that runs a program out of the folder of a package
# that was unpacked with its dependencies, with the libraries of that folder.
find_program() {
    # shellcheck disable=SC2034 # the caller's
    program=("$1/usr/lib64/ld-linux-x86-64.so.2" --library-path "$1/usr/lib/x86_64-linux-gnu" "$1/$2")
}

# digest FILE…: prints a name for the content of the files.
digest() {
    cat "$@" | sha256sum | cut -c 1-12
}

# cached NAME COMMAND [ARG…]: prints the folder NAME of the cache. If it is missing, COMMAND fills it: it is started in
# an empty folder, which gets the name only when COMMAND has succeeded. Two calls at a time do the work once.
cached() {
    local name=$1 making=$lab_cache/.making-$1 lock
    shift
    own_folder "$lab_cache" || exit 125
    if [[ ! -d $lab_cache/$name ]]; then
        exec {lock}>"$lab_cache/.lock-$name"
        flock --nonblock "$lock" || { say "Waiting for another lab that is making $name" && flock "$lock"; }
        if [[ ! -d $lab_cache/$name ]]; then
            rm -rf "$making"
            mkdir "$making"
            env -C "$making" "$@" >&2 || fail "making $name failed; what there is of it is in $making"
            mv -T "$making" "$lab_cache/$name"
        fi
        exec {lock}>&-
    fi
    echo "$lab_cache/$name"
}
