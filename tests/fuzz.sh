#!/usr/bin/env bash
# Searches for inputs that break the promises of the fuzz targets (tests/fuzz/src/lib.rs):
#   tests/fuzz.sh [SECONDS]                   all targets, SECONDS in all (default 60)
#   tests/fuzz.sh --runs COUNT [TARGET...]    COUNT executions of each target, the same ones each time
# Needs cargo-fuzz and a C++ compiler (libFuzzer is compiled with the targets); any toolchain works.
# The corpus grows in target/fuzz/corpus; what fails is kept in target/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; }

runs='' seconds=60 targets=()
case ${1:-} in
  --runs) runs=${2:-} && [[ $runs =~ ^[1-9][0-9]*$ ]] || usage; targets=("${@:3}") ;;
  '') ;;
  *) seconds=$1 && [[ $# == 1 && $seconds =~ ^[1-9][0-9]*$ ]] || usage ;;
esac

cargo fuzz --version
fuzz=tests/fuzz
out=$PWD/target/fuzz
mapfile -t all < <(cargo fuzz list --fuzz-dir "$fuzz")
((${#all[@]} > 0)) || { echo "no targets"; exit 1; }
((${#targets[@]} > 0)) || targets=("${all[@]}")

# No sanitizer: there is no unsafe code of ours to watch, and the search is twice as fast. Overflow
# checks and debug assertions are on. The lock file stays as it is.
cargo fetch --quiet --locked --manifest-path "$fuzz/Cargo.toml"
cargo fuzz build --fuzz-dir "$fuzz" --target-dir "$out" --sanitizer none
cargo run --quiet --locked --manifest-path "$fuzz/Cargo.toml" --target-dir "$out" \
  --no-default-features --example seeds -- "$out/corpus"

host=$(rustc -vV | sed -n 's/^host: //p')
total=0
for target in "${targets[@]}"; do
  if [[ $runs ]]; then
    limit=(-runs="$runs" -seed=1)
  else
    limit=(-max_total_time="$(((seconds + ${#targets[@]} - 1) / ${#targets[@]}))")
  fi
  mkdir -p "$out/artifacts" "$out/log"
  log=$out/log/$target
  # An input that takes 10 s is a hang, 2 GiB (the default) a leak.
  if ! "$out/$host/release/$target" "${limit[@]}" -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$out/artifacts/$target-" "$out/corpus/$target" >"$log" 2>&1; then
    tail -n 60 "$log"
    echo "FINDING: $target; run it again with: $out/$host/release/$target $out/artifacts/$target-..."
    exit 1
  fi
  count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  ((count > 0)) || { echo "$target ran nothing"; exit 1; }
  total=$((total + count))
  echo "$target: $count executions, ${covered:-no coverage}, no finding"
done
echo "$total executions in all, no finding"
