#!/bin/sh
# Builds the CUDA library and the driver, then checks and times everything on this machine's device:
#   sh kernels/cuda/driver/run.sh [--check] [--layer] [--encoder] [--sanitize] [--device N] [--json FILE]
# --check: every contender and the encoder against references; --layer, --encoder: timing tables, the latter with PyTorch's next to it
# when python3 has torch; without any of them all three. --sanitize: the checks, fewer of them, under compute-sanitizer's memcheck,
# racecheck and synccheck. --json: timings go to FILE as well, a line each.
# Needs a C compiler and nvcc, no data and no network. The last line sums up: "N passed, N failed, N skipped"; without nvcc or
# a device everything is skipped, which is no failure.
set -eu
cd "$(dirname "$0")/../../.."

parts="" sanitize="" options="" json=""
while [ $# -gt 0 ]; do
    case $1 in
    --check | --layer | --encoder) parts="$parts ${1#--}" ;;
    --sanitize) sanitize=1 ;;
    --device | --json)
        if [ $# -lt 2 ]; then
            echo "kernels/cuda/driver/run.sh: $1 needs a value" >&2
            exit 2
        fi
        options="$options $1 $2"
        if [ "$1" = --json ]; then json=$2; fi
        shift
        ;;
    *)
        echo "usage: sh kernels/cuda/driver/run.sh [--check] [--layer] [--encoder] [--sanitize] [--device N] [--json FILE]" >&2
        exit 2
        ;;
    esac
    shift
done
if [ -z "$parts$sanitize" ]; then parts="check layer encoder"; fi

sh kernels/cuda/build.sh
if [ ! -e build/libuffb_cuda.so ]; then
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

dir=build/cuda/driver
for cc in ${CC:-cc gcc clang}; do command -v "$cc" >/dev/null 2>&1 && break; done
rm -rf "$dir"
engine=build/engine
sh kernels/build.sh --objects $engine
mkdir -p "$dir/tests"
flags="-std=c11 -O2 -pthread -Wall -Wextra -Werror"
pids=
own=
for source in kernels/test/check.c kernels/test/engine_configs.c kernels/test/engine_model.c kernels/cuda/test/*.c \
    kernels/cuda/driver/*.c; do
    object=$dir/tests/$(echo "${source#kernels/}" | tr / -).o
    case $source in kernels/cuda/driver/*) own="$own $object" ;; esac
    # shellcheck disable=SC2086 # flags are words
    "$cc" $flags -c "$source" -o "$object" &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
# An archive, so that what needs more than is here is not linked.
ar rcs "$dir/all.a" "$dir"/tests/test-*.o "$dir"/tests/cuda-test-*.o "$engine"/*.o
# shellcheck disable=SC2086
"$cc" -pthread $own "$dir/all.a" -Lbuild -luffb_cuda -Wl,-rpath,"$PWD/build" -lm -ldl -o "$dir/driver"

# PyTorch brings a cuBLAS of its own, where the loader does not look; the toolkit's and the system's go before it.
libraries=$(python3 -c 'import glob, site
print(":".join(d for s in site.getsitepackages() for d in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null || true)
if [ -n "$libraries" ]; then export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/cuda/lib64:$libraries"; fi

# Neither is for f32 to be computed otherwise than asked.
unset NVIDIA_TF32_OVERRIDE CUBLAS_EMULATE_SINGLE_PRECISION CUBLAS_EMULATION_STRATEGY

passed=0 failed=0 skipped=0
run() { # run NAME COMMAND...: shows and counts
    name=$1
    shift
    echo "== $name"
    status=0
    { "$@" 2>&1 || echo "exit status $?"; } | tee "$dir/log"
    if grep -q '^exit status ' "$dir/log"; then status=$(sed -n 's/^exit status //p' "$dir/log" | tail -n 1); fi
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$dir/log" | tail -n 1) || counts="0 passed, 0 failed"
    [ -n "$counts" ] || counts="0 passed, 0 failed"
    left=$(sed -n 's/^skipped \([0-9]*\)$/\1/p' "$dir/log" | tail -n 1)
    bad=$(echo "$counts" | cut -d' ' -f3)
    passed=$((passed + ${counts%% *})) skipped=$((skipped + ${left:-0}))
    if [ "$status" = 3 ]; then
        skipped=$((skipped + 1))
    elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
        bad=1
    fi
    failed=$((failed + bad))
}

for part in $parts; do
    # shellcheck disable=SC2086
    run "$part" "$dir/driver" "$part" $options
    if [ "$part" = encoder ] && python3 -c 'import torch' 2>/dev/null; then
        run "the same in PyTorch" python3 kernels/cuda/driver/peer.py ${json:+--json "$json"}
    fi
done
if [ -n "$sanitize" ]; then
    for tool in memcheck racecheck synccheck; do
        if command -v compute-sanitizer >/dev/null 2>&1; then
            # shellcheck disable=SC2086
            run "$tool" compute-sanitizer --tool "$tool" --error-exitcode 9 "$dir/driver" small $options
        else
            echo "== $tool: skipped, there is no compute-sanitizer"
            skipped=$((skipped + 1))
        fi
    done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
