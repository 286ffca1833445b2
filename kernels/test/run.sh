#!/bin/sh
# Builds and runs the C tests: sh kernels/test/run.sh [FLAVOUR...]
#   plain    as the library is built
#   asan     with AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan     with ThreadSanitizer (the engine's tests; kernels have no threads)
#   aarch64  cross-compiled, under qemu-user: kernels and bench
#   aarch64-engine  engine and training under qemu-user, which takes many minutes
# Without arguments: plain and asan. The last line sums up: "N passed, N failed" and, if so, ", N skipped".
# Logs and programs lie in build/test/FLAVOUR.
set -eu
cd "$(dirname "$0")/../.."

passed=0 failed=0 skipped=0

for own_cc in ${CC:-cc gcc clang}; do command -v "$own_cc" >/dev/null 2>&1 && break; done

need() { # need PROGRAM PACKAGE...
    program=$1
    shift
    command -v "$program" >/dev/null 2>&1 && return
    echo "kernels/test/run.sh: $program not found; install it (Debian, Ubuntu: apt-get install $*)" >&2
    exit 1
}

can_link() { # can_link FLAGS...
    mkdir -p build/test
    echo 'int main(void) { return 0; }' >build/test/probe.c
    "$own_cc" "$@" build/test/probe.c -o build/test/probe >/dev/null 2>&1 && build/test/probe >/dev/null 2>&1
}

choose() { # choose FLAVOUR: sets cc, cflags, objects and runner; fails if this compiler cannot build it
    cc=$own_cc cflags="" runner="" objects=build/test/$1/objects
    case $1 in
    plain) objects=build/engine ;; # the library's own
    asan)
        cflags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
        can_link -fsanitize=address,undefined
        ;;
    tsan)
        cflags="-O1 -g -fsanitize=thread"
        # Its shadow memory does not fit every address layout; a fixed one always works.
        if command -v setarch >/dev/null 2>&1; then runner="setarch -R"; fi
        can_link -fsanitize=thread
        ;;
    aarch64 | aarch64-engine)
        need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        need qemu-aarch64 qemu-user
        cc=aarch64-linux-gnu-gcc runner="qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu"
        ;;
    *)
        echo "kernels/test/run.sh: no flavour \"$1\"; there are plain, asan, tsan, aarch64 and aarch64-engine" >&2
        exit 2
        ;;
    esac
}

build() { # build DIR
    # The assertions of the tests are about rounding: no contraction here either.
    flags="-std=c11 -O2 -pthread -ffp-contract=off -Wall -Wextra -Werror $cflags"
    mkdir -p "$1"
    CC=$cc CFLAGS=$cflags sh kernels/build.sh --objects "$objects"
    pids=
    for test in ops engine train bench; do
        shared=
        if [ $test = train ]; then shared="kernels/test/engine_model.c kernels/test/engine_configs.c"; fi
        # shellcheck disable=SC2086 # flags and sources are words
        "$cc" $flags kernels/test/check.c kernels/test/view.c $shared kernels/test/"$test"_*.c "$objects"/*.o -lm \
            -o "$1/${test}_test" &
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid"; done
}

start() { # start FLAVOUR PROGRAM: runs it in the background
    # shellcheck disable=SC2086 # the runner is words
    (
        status=0
        $runner "build/test/$1/$2" >"build/test/$1/$2.log" 2>&1 || status=$?
        echo $status >"build/test/$1/$2.status"
    ) &
}

report() { # report FLAVOUR PROGRAM: shows what did not pass, and counts
    log=build/test/$1/$2.log
    status=$(cat "build/test/$1/$2.status")
    grep -v '^ok' "$log" | sed '$d' || true
    counts=$(tail -n 1 "$log" | grep -E '^[0-9]+ passed, [0-9]+ failed$') || counts="0 passed, 1 failed"
    bad=$(echo "$counts" | cut -d' ' -f3)
    if [ "$status" -ne 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    passed=$((passed + ${counts%% *})) failed=$((failed + bad))
    echo "$1 $2: $counts (exit $status, $log)"
}

for flavour in ${*:-plain asan}; do
    if choose "$flavour"; then
        build "build/test/$flavour"
        tests="ops_test engine_test train_test bench_test"
        case $flavour in
        tsan) tests="engine_test train_test" ;;
        # What is ARM's own are the kernels.
        aarch64) tests="ops_test bench_test" ;;
        aarch64-engine) tests="engine_test train_test" ;;
        esac
        for test in $tests; do start "$flavour" "$test"; done
        wait
        for test in $tests; do report "$flavour" "$test"; done
    else
        echo "$flavour: skipped, $cc cannot link programs with its sanitizer"
        skipped=$((skipped + 1))
    fi
done

if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ] && [ $passed -gt 0 ]
