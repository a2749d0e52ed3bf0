# shellcheck shell=bash
# Sourced by the scripts that keep a cache.

# own_folder FOLDER: makes the folder where it is missing. Fails when somebody else could put files there that are then run.
own_folder() {
    [[ -d $1 ]] || (umask 022 && mkdir -p "$1")
    if [[ ! -O $1 || $(find "$1" -maxdepth 0 -perm /022) ]]; then
        echo "${0##*/}: $1 belongs to $(stat -c %U "$1") with mode $(stat -c %a "$1"), so it is not used: remove it, or set" \
            "XDG_CACHE_HOME to a folder of your own" >&2
        return 1
    fi
}
