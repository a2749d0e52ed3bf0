# shellcheck shell=bash
# Sourced by the programs. `lib` is then the folder of the jars, built if need be, and `java NAME ARGUMENT…` replaces the
# shell by a JVM with them on its class path. NAME is that of its archive of loaded classes, with which it starts sooner.

here=$(cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")" && pwd)
if [[ -n ${KVM_VFIO_LIB-} ]]; then
    lib=$KVM_VFIO_LIB
else
    lib=$here/target/lib
    "$here/build"
fi

java() {
    local home options archive=$lib/$1.jsa
    home=$("$here/java-home")
    # A short run: the fast compiler and the small collector start sooner and lose nothing.
    options=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED -XX:SharedArchiveFile="$archive"
        -XX:-PrintWarnings -Xlog:disable)
    # The JVM uses an archive of the same JDK, options and jars only. It makes one of another JDK anew, not one of other jars.
    # With a byte wrong it would crash, so it is checked; and root leaves no file in a folder of somebody else.
    options+=(-XX:+VerifySharedSpaces)
    if [[ -w $lib && -O $lib ]]; then
        [[ ! $(find "$lib" -name '*.jar' -cnewer "$archive" -print -quit 2>/dev/null) ]] || rm -f "$archive"
        options+=(-XX:+AutoCreateSharedArchive)
    fi
    exec "$home/bin/java" "${options[@]}" --class-path "$lib/*" "${@:2}"
}
