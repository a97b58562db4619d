#!/bin/sh
# Usage: openmp_binding_test.sh PROGRAM. The default number of threads is the same with and without
# OpenMP's bindings, and so are the processors that the threads may run on.
set -eu
program=$1
# The program tells the default if it is asked for more.
default_threads() { "$program" eval --data /nowhere --threads 1024 2>&1 | grep -- --threads; }
plain=$(default_threads)
for binding in OMP_PROC_BIND=true GOMP_CPU_AFFINITY=0-1023 OMP_PLACES=cores; do
  bound=$(export "${binding?}" && default_threads)
  if [ "$bound" != "$plain" ]; then
    echo "$binding: $bound, expected $plain" >&2
    exit 1
  fi
done

# The processors that threads of a running program may use: all of them, one line for each mask.
folder=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT
OMP_PROC_BIND=true "$program" sample -n 1000000 --seed 1 -o "$folder/" 2>/dev/null &
pid=$!
allowed=$(grep Cpus_allowed_list /proc/self/status)
tries=0
until grep -qsx "$allowed" "/proc/$pid/task/"*/status; do
  tries=$((tries + 1))
  if [ $tries -ge 600 ]; then
    echo "no thread may run on all processors: $(grep -h Cpus_allowed_list /proc/$pid/task/*/status)" >&2
    exit 1
  fi
  sleep 0.1
done
