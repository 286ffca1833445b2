#!/bin/sh
# Builds the engine: sh kernels/build.sh [OUT]          shared library, build/libuffb.so when OUT is not given
#                    sh kernels/build.sh --objects DIR  the objects alone, for programs that link them (kernels/test)
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

out=build/libuffb.so
if [ "${1:-}" = --objects ]; then
    objects=$2
    out=
elif [ $# -gt 0 ]; then
    out=$1
fi
if [ -n "$out" ]; then
    mkdir -p "$(dirname "$out")"
    objects=$(mktemp -d)
    trap 'rm -rf "$objects" "$out.$$"' EXIT
fi
mkdir -p "$objects"

# No contraction: where a multiply-add is fused is decided in the source, so that every compiler gives the same bits.
flags="-std=c11 -O3 -fPIC -pthread -fvisibility=hidden -ffp-contract=off -fno-math-errno -Wall -Wextra -Werror ${CFLAGS:-}"

# A source of kernels/ops says in its name what it is compiled for: *_simd.c for each ISA of `simd`, written once over the vector
# types; *_ISA.c for that ISA, where this architecture has it; any other for the portable baseline.
case "$("$compiler" ${CFLAGS:-} -dumpmachine)" in
x86_64*) simd="avx2 avx512" own="avx2 avx512vnni" foreign="neon" ;;
aarch64* | arm64*) simd="neon" own="neon" foreign="avx2 avx512vnni" ;;
*) simd="" own="" foreign="avx2 avx512vnni neon" ;;
esac
isa_flags() {
    case $1 in
    avx2) echo "-mavx2 -mfma" ;;
    avx512) echo "-mavx512f -mavx2 -mfma -mprefer-vector-width=512" ;;
    avx512vnni) echo "-mavx512f -mavx512vnni -mavx2 -mfma -mprefer-vector-width=512" ;;
    esac
}

pids=
compile() { # compile OBJECT SOURCE FLAGS...
    object=$1 source=$2
    shift 2
    # shellcheck disable=SC2086
    "$compiler" $flags "$@" -c "$source" -o "$objects/$object" &
    pids="$pids $!"
}
compile_for() { # compile_for ISA SOURCE
    # shellcheck disable=SC2046
    compile "$(basename "$2" .c)-$1.o" "$2" $(isa_flags "$1") "-DUFFB_TARGET=$1"
}
for source in kernels/engine/*.c kernels/bench/*.c kernels/ops/*.c kernels/ops/*/*.c; do
    name=$(basename "$source" .c) suffix=
    case $source in kernels/ops/*) suffix=${name##*_} ;; esac
    case " simd $own $foreign " in
    *" $suffix "*) ;;
    *) suffix= ;;
    esac
    case $suffix in
    "") compile "$name.o" "$source" ;;
    simd) for isa in $simd; do compile_for "$isa" "$source"; done ;;
    *) case " $own " in *" $suffix "*) compile_for "$suffix" "$source" ;; esac ;;
    esac
done
failed=0
for pid in $pids; do wait "$pid" || failed=1; done
[ $failed = 0 ] || exit 1

if [ -n "$out" ]; then
    # shellcheck disable=SC2086
    "$compiler" $flags -shared "$objects"/*.o -lm -ldl -o "$out.$$"
    mv "$out.$$" "$out"
fi
