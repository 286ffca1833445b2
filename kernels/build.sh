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

# simd: ISAs that ops/simd is compiled for; own: ISAs with kernels of their own, in ops/ISA.
case "$("$compiler" ${CFLAGS:-} -dumpmachine)" in
x86_64*) simd="avx2 avx512" own="avx2 avx512vnni" ;;
aarch64* | arm64*) simd="neon" own="neon" ;;
*) simd="" own="" ;;
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
for source in kernels/engine/*.c kernels/bench/*.c kernels/ops/*.c; do compile "$(basename "$source" .c).o" "$source"; done
for source in kernels/ops/generic/*.c; do compile "$(basename "$source" .c)-generic.o" "$source"; done
for isa in $simd; do
    for source in kernels/ops/simd/*.c; do
        # shellcheck disable=SC2046
        compile "$(basename "$source" .c)-$isa.o" "$source" $(isa_flags "$isa") "-DUFFB_TARGET=$isa"
    done
done
for isa in $own; do
    for source in kernels/ops/"$isa"/*.c; do
        # shellcheck disable=SC2046
        compile "$(basename "$source" .c)-own-$isa.o" "$source" $(isa_flags "$isa")
    done
done
failed=0
for pid in $pids; do wait "$pid" || failed=1; done
[ $failed = 0 ] || exit 1

if [ -n "$out" ]; then
    # shellcheck disable=SC2086
    "$compiler" $flags -shared "$objects"/*.o -lm -ldl -o "$out.$$"
    mv "$out.$$" "$out"
fi
