#!/bin/sh
# Builds the CUDA library where there is an nvcc: sh kernels/cuda/build.sh [OUT], build/libuffb_cuda.so when OUT is not given.
# Without one it removes what an earlier build left, says so and succeeds.
# Environment: NVCC (nvcc, else /usr/local/cuda/bin/nvcc), NVCCFLAGS (added last).
set -eu
cd "$(dirname "$0")/../.."

out=${1:-build/libuffb_cuda.so}
for nvcc in ${NVCC:-nvcc /usr/local/cuda/bin/nvcc}; do
    command -v "$nvcc" >/dev/null 2>&1 && break
    nvcc=
done
if [ -z "$nvcc" ]; then
    rm -f "$out"
    echo "uffb: no nvcc here, so no CUDA library; --device cuda will say so" >&2
    exit 0
fi

mkdir -p "$(dirname "$out")" build/cuda
# Machine code for A100 and H100/H200, and PTX for what comes after.
host="-fPIC,-fvisibility=hidden,-Wall,-Wextra,-Werror"
flags="-std=c++17 -O3 -Xcompiler $host -Werror all-warnings
    -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=[sm_90,compute_90] ${NVCCFLAGS:-}"

# Objects are kept, and compiled again when they, or any header, are older than the source or built with other flags.
stamp="$nvcc $flags"
if [ "$(cat build/cuda/flags 2>/dev/null)" != "$stamp" ]; then rm -f build/cuda/*.o; fi
echo "$stamp" >build/cuda/flags
headers=$(find kernels -name '*.h' -o -name '*.inc')
newest=$(ls -t kernels/cuda/build.sh $headers | head -n 1)

failed=0 pids=
objects=
jobs=$(nproc 2>/dev/null || echo 2)
running=0
# What the engine knows of batches, tensors and kinds of weights is shared.
engine="kernels/engine/batch.c kernels/engine/error.c kernels/engine/tensor.c $(echo kernels/engine/weights/*.c)"
for source in $engine $(find kernels/cuda -name '*.cu' -not -path '*/test/*' | sort); do
    object=build/cuda/$(echo "${source#kernels/}" | tr / -).o
    objects="$objects $object"
    if [ -n "$(find "$object" -newer "$source" -newer "$newest" 2>/dev/null)" ]; then continue; fi
    case $source in
    *.c) options="-O3 -Xcompiler -std=c11,-ffp-contract=off,$host" ;;
    *) options=$flags ;;
    esac
    # shellcheck disable=SC2086 # flags are words
    { "$nvcc" $options -c "$source" -o "$object.$$" && mv "$object.$$" "$object"; } &
    pids="$pids $!"
    running=$((running + 1))
    if [ "$running" -ge "$jobs" ]; then
        for pid in $pids; do wait "$pid" || failed=1; done
        pids= running=0
    fi
done
for pid in $pids; do wait "$pid" || failed=1; done
[ $failed = 0 ] || exit 1

# Symbolic: what it shares with the engine stays its own in a program that has the engine, too.
# shellcheck disable=SC2086
"$nvcc" -shared -cudart static -Xlinker -Bsymbolic $objects -ldl -o "$out.$$"
mv "$out.$$" "$out"
