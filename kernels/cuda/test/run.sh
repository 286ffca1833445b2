#!/bin/sh
# Builds the CUDA sources with a C++ compiler for the simulator in kernels/cuda/simt, and runs their tests:
#   sh kernels/cuda/test/run.sh [--order forward|reverse] [TEST...]
# TEST: simt, layer, encoder; all of them when none is named. --order: in which order the simulator runs blocks and threads; both when it
# is not given. A missing barrier shows in one of them.
# Neither a device nor the CUDA toolkit is needed. The last line sums up: "N passed, N failed". Logs and programs lie in
# build/test/cuda. What the tests of ffi, lib and cmd take for the CUDA library is build/test/libuffb_cuda_cpu.so.
set -eu
cd "$(dirname "$0")/../../.."

orders="forward reverse"
if [ "${1-}" = --order ]; then
    case ${2-} in
    forward | reverse) orders=$2 ;;
    *)
        echo "kernels/cuda/test/run.sh: --order is forward or reverse" >&2
        exit 2
        ;;
    esac
    shift 2
fi
tests=${*:-simt layer encoder}
for test in $tests; do
    if [ ! -e "kernels/cuda/test/${test}_test.cu" ]; then
        echo "kernels/cuda/test/run.sh: no test \"$test\"; there are simt, layer and encoder" >&2
        exit 2
    fi
done

for cxx in ${CXX:-c++ g++ clang++}; do
    command -v "$cxx" >/dev/null 2>&1 && break
    cxx=
done
if [ -z "$cxx" ]; then
    echo "kernels/cuda/test/run.sh: no C++ compiler, so the CUDA sources are not tested; install one (Debian, Ubuntu: apt-get install g++)" >&2
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

dir=build/test/cuda engine=build/engine
mkdir -p "$dir"
# UBSan knows the alignment that vectors need on a device. Frames of fibers are not for AddressSanitizer: the simulator guards
# memory itself.
sanitize="-fsanitize=undefined -fno-sanitize-recover=all"
flags="-std=c++17 -O2 -fPIC -pthread -ffp-contract=off -U_FORTIFY_SOURCE -Wall -Wextra -Werror -Wno-unknown-pragmas $sanitize"

CFLAGS="" sh kernels/build.sh --objects $engine

jobs=$(nproc 2>/dev/null || echo 2)
pids= failed=0 running=0
spawn() { # spawn COMMAND...: as many at a time as there are CPUs
    "$@" &
    pids="$pids $!"
    running=$((running + 1))
    if [ $running -ge "$jobs" ]; then
        for pid in $pids; do wait "$pid" || failed=1; done
        pids= running=0
    fi
}
compile() { # compile SOURCE: when it, or any header, is newer than its object
    object=$dir/$(echo "${1#kernels/}" | tr / -).o
    objects="$objects $object"
    if [ -n "$(find "$object" -newer "$1" -newer "$newest" 2>/dev/null)" ]; then return; fi
    # shellcheck disable=SC2086 # flags are words
    case $1 in
    *.c) spawn cc -std=c11 -O2 -pthread -Wall -Wextra -Werror -c "$1" -o "$object" ;;
    *) spawn "$cxx" $flags -x c++ -c "$1" -o "$object" ;;
    esac
}

# shellcheck disable=SC2046 # file names have no spaces here
newest=$(ls -t kernels/cuda/test/run.sh $(find kernels -name '*.h' -o -name '*.inc') | head -n 1)
objects=
for source in $(find kernels/cuda -name '*.cu' -not -path '*/test/*' | sort); do compile "$source"; done
parts=$objects
# Of the C tests: counting, and random models.
for source in kernels/test/check.c kernels/test/engine_configs.c kernels/test/engine_model.c kernels/cuda/test/*.c; do
    compile "$source"
done
shared=$objects
for source in kernels/cuda/test/*_test.cu; do compile "$source"; done
for pid in $pids; do wait "$pid" || failed=1; done
[ $failed = 0 ] || exit 1

# An archive, so that a test is linked with what it needs alone.
rm -f "$dir/all.a"
# shellcheck disable=SC2086
ar rcs "$dir/all.a" $shared $engine/*.o

# shellcheck disable=SC2086
"$cxx" $sanitize -pthread -shared -Wl,-Bsymbolic $parts $engine/engine-batch.o $engine/engine-error.o $engine/engine-tensor.o \
    $engine/engine-weights-*.o \
    -lm -ldl -o build/test/libuffb_cuda_cpu.so.$$
mv build/test/libuffb_cuda_cpu.so.$$ build/test/libuffb_cuda_cpu.so

run() { # run TEST ORDER
    status=0
    UFFB_SIMT_ORDER=$2 "$dir/$1_test" >"$dir/$1-$2.log" 2>&1 || status=$?
    echo $status >"$dir/$1-$2.status"
}
for test in $tests; do
    # shellcheck disable=SC2086 # flags are words
    "$cxx" $sanitize -pthread "$dir/cuda-test-${test}_test.cu.o" "$dir/all.a" -lm -ldl -o "$dir/${test}_test"
    for order in $orders; do run "$test" "$order" & done
done
wait

passed=0 failed=0
for test in $tests; do
    for order in $orders; do
        log=$dir/$test-$order.log status=$(cat "$dir/$test-$order.status")
        grep -vE '^(ok|[0-9]+ passed)' "$log" || true
        counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log") || counts="0 passed, 1 failed"
        bad=$(echo "$counts" | cut -d' ' -f3)
        if [ "$status" -ne 0 ] && [ "$bad" = 0 ]; then bad=1; fi
        passed=$((passed + ${counts%% *})) failed=$((failed + bad))
        echo "cuda $test, threads $order: $counts (exit $status, $log)"
    done
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
