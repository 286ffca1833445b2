#!/bin/sh
# Builds the engine: sh kernels/build.sh [OUT]          shared library, build/libuffb.so when OUT is not given
#                    sh kernels/build.sh --objects DIR  the objects alone, for programs that link them (kernels/test)
# The library's objects are kept in build/engine. An object is compiled again when its source or any header is newer, or when it was
# compiled with other flags.
# Environment: CC (cc, else gcc, else clang), CFLAGS (added last: sanitizers, cross targets).
set -eu
cd "$(dirname "$0")/.."

for compiler in ${CC:-cc gcc clang}; do
    command -v "$compiler" >/dev/null 2>&1 && break
    compiler=
done
if [ -z "$compiler" ]; then
    echo "uffb: no C compiler found; install one (Debian, Ubuntu: apt-get install gcc libc6-dev) or name it in CC" >&2
    exit 1
fi

out=build/libuffb.so objects=build/engine
if [ "${1:-}" = --objects ]; then
    objects=$2
    out=
elif [ $# -gt 0 ]; then
    out=$1
fi
mkdir -p "$objects"

# No contraction: where a multiply-add is fused is decided in the source, so that every compiler gives the same bits.
flags="-std=c11 -O3 -fPIC -pthread -fvisibility=hidden -ffp-contract=off -fno-math-errno -Wall -Wextra -Werror ${CFLAGS:-}"

# A source of kernels/ops says in its name what it is compiled for: *_ISA.c for that instruction set, where this architecture has it;
# *_simd.c for each set with a vector type, kernels/ops/vec/ISA.h; any other for the base of the architecture. isas.inc lists the
# sets: here a line each, name, architecture, flags.
# shellcheck disable=SC2086
machine=$("$compiler" ${CFLAGS:-} -dumpmachine)
case $machine in arm64*) machine=aarch64 ;; esac
sets=$("$compiler" -E -P -x c '-DUFFB_ISA(name, architecture, needs, flags)=name architecture flags;' kernels/ops/isas.inc |
    tr -d '"\n' | tr ';' '\n')
all=$(echo "$sets" | sed 's/ .*//')
own=$(echo "$sets" | sed -n -E "s/ (any|${machine%%-*}) .*//p")
flags_of() { echo "$sets" | sed -n "s/^$1 [^ ]* //p"; }

has() { # has LINES LINE
    echo "$1" | grep -qx "$2"
}

stamp="$compiler $machine $flags"
if [ "$(cat "$objects/flags" 2>/dev/null)" != "$stamp" ]; then rm -f "$objects"/*.o; fi
echo "$stamp" >"$objects/flags"
# shellcheck disable=SC2046 # file names have no spaces here
newest=$(ls -t kernels/build.sh $(find kernels \( -name cuda -o -name test \) -prune -o \( -name '*.h' -o -name '*.inc' \) -print) | head -n 1)

pids= all_objects=
compile() { # compile OBJECT SOURCE FLAGS...
    object=$objects/$1 source=$2
    shift 2
    all_objects="$all_objects $object"
    if [ -n "$(find "$object" -newer "$source" -newer "$newest" 2>/dev/null)" ]; then return; fi
    # shellcheck disable=SC2086
    { "$compiler" $flags "$@" -c "$source" -o "$object.$$" && mv "$object.$$" "$object"; } &
    pids="$pids $!"
}
object_name() { # object_name SOURCE: files of one name may lie in different folders
    echo "${1%.c}" | sed 's,^kernels/,,; s,/,-,g'
}
compile_for() { # compile_for ISA SOURCE
    # shellcheck disable=SC2046
    compile "$(object_name "$2")-$1.o" "$2" $(flags_of "$1") "-DUFFB_TARGET=$1"
}
for source in kernels/engine/*.c kernels/engine/*/*.c kernels/train/*.c kernels/bench/*.c kernels/ops/*.c kernels/ops/*/*.c; do
    name=$(basename "$source" .c)
    suffix=${name##*_}
    if [ "$suffix" = simd ]; then
        for isa in $own; do if [ -e "kernels/ops/vec/$isa.h" ]; then compile_for "$isa" "$source"; fi; done
    elif has "$own" "$suffix"; then
        compile_for "$suffix" "$source"
    elif ! has "$all" "$suffix"; then
        compile "$(object_name "$source").o" "$source"
    fi
done
failed=0
for pid in $pids; do wait "$pid" || failed=1; done
[ $failed = 0 ] || exit 1

# Objects of sources that are gone would be linked by programs that take all of them.
for object in "$objects"/*.o; do
    case " $all_objects " in *" $object "*) ;; *) rm -f "$object" ;; esac
done

if [ -n "$out" ]; then
    mkdir -p "$(dirname "$out")"
    # A name without a function is an error here, not when the library is loaded; Apple's linker does so by itself.
    case $machine in *apple*) complete= ;; *) complete=-Wl,-z,defs ;; esac
    # shellcheck disable=SC2086
    "$compiler" $complete $flags -shared $all_objects -lm -ldl -o "$out.$$"
    mv "$out.$$" "$out"
fi
