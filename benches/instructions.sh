#!/usr/bin/env bash
# Counts the client's instructions a message of 1 KiB, each way, with callgrind, and fails when they are more than 10 %
# above benches/instructions.txt. `--record` writes that file instead. Needs valgrind; `--install` installs it (Debian, root).
#
# What is counted: the whole client process, local TCP included (tokio on one thread, websocket, state machines), in user
# space, as the difference between two runs of different length, so that what happens once does not count. The blocks of
# SHA-256 are counted apart, since valgrind's CPU has no SHA instructions and the portable code takes ten times as many.
# So the count does not depend on the machine's SHA instructions, nor on its speed or load but for how many messages a
# read of the socket finds. Client and peer therefore take turns on one CPU, and the least of five counts is taken.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

short=4000 long=20000 allowed=110 rounds=5
recorded=benches/instructions.txt machine=$(uname -m)

if [[ ${1:-} == --install ]]; then
  # A download that fails once, or another apt that is at work, is no reason to give up.
  apt=(apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
  command -v valgrind >/dev/null || { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends valgrind >/dev/null; }
  valgrind --version
  exit
fi
command -v valgrind >/dev/null && command -v callgrind_annotate >/dev/null ||
  { echo "instructions.sh: valgrind is missing (--install installs it on Debian)"; exit 1; }
[[ ${1:-} == --record || -s $recorded ]] || { echo "instructions.sh: $recorded is missing (--record makes it)"; exit 1; }
cargo build --profile bench --locked --quiet -p benches --bin instructions
program=${CARGO_TARGET_DIR:-target}/release/instructions
cpu=$(taskset -cp $$ | sed -E 's/.*: //; s/[-,].*//')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Instructions of one run: without the hash function, and its own.
count() {
  local out=$work/$1.$2
  taskset -c "$cpu" valgrind --tool=callgrind --callgrind-out-file="$out" "$program" "$1" "$2" 2>"$out.log" ||
    { cat "$out.log"; return 1; }
  callgrind_annotate --auto=no --threshold=99.9 "$out" 2>/dev/null | tr -d , |
    awk '/PROGRAM TOTALS/ { total = $1 } /sha2::/ { hash += $1 } END { printf "%d %d\n", total - hash, hash }'
}

# Instructions a message: `other hash`, from two runs of different length.
difference() {
  local short_run long_run other hash
  short_run=$(count "$1" "$short")
  long_run=$(count "$1" "$long")
  other=$(((${long_run% *} - ${short_run% *}) / (long - short)))
  hash=$(((${long_run#* } - ${short_run#* }) / (long - short)))
  ((other > 0 && hash > 0)) || { echo "$1: $other and $hash instructions cannot be" >&2; return 1; }
  echo "$other $hash"
}

failed=0
results=""
for direction in send receive; do
  least=""
  for ((round = 0; round < rounds; round++)); do
    counted=$(difference "$direction")
    echo "$direction: ${counted% *} instructions a message, and ${counted#* } to hash it"
    [[ -z $least ]] || ((${counted% *} < least)) || continue
    least=${counted% *}
  done
  results+="$machine $direction $least"$'\n'
  [[ ${1:-} != --record ]] || continue
  limit=$(awk -v of="$machine $direction" -v allowed="$allowed" '$1 " " $2 == of { print int($3 * allowed / 100) }' "$recorded")
  [[ -n $limit ]] || { echo "instructions.sh: $recorded has no line for $machine $direction"; exit 1; }
  echo "$direction: at least $least, limit $limit"
  ((least <= limit)) || failed=1
done
if [[ ${1:-} == --record ]]; then
  printf '%s' "$results" >"$recorded"
elif ((failed)); then
  echo "more instructions than $recorded allows: find what grew, or record it with its reason (--record)"
  exit 1
fi
