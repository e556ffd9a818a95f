#!/usr/bin/env bash
# Counts the client's instructions per message of 1 KiB in each direction with callgrind, and fails when they exceed
# benches/instructions.txt by more than 10 %. `--record` writes that file instead. Needs valgrind; `--install` installs it (Debian, root).
# Also fails when opening a stream takes more than twice the instructions beside 10,000 streams as beside 10, a message
# more than 150 % of them, or a message with 4,000 in flight more than 120 % of one with 16 (growth.rs).
#
# Counted are the instructions of the whole client process in user space, local TCP included (tokio on one thread,
# websocket, state machines), as the difference between two runs of different length, so that one-time work does not
# count. The blocks of SHA-256 are counted separately: valgrind's CPU has no SHA instructions, and the portable code takes
# ten times as many. So the count does not depend on the machine's SHA instructions, nor on its speed or load except for
# how many messages one read of the socket returns. Client and peer therefore share one CPU, and the minimum of five counts
# is used.
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
cargo build --profile bench --locked --quiet -p benches --bin instructions --bin growth
programs=${CARGO_TARGET_DIR:-target}/release
cpu=$(taskset -cp $$ | sed -E 's/.*: //; s/[-,].*//')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Instructions of one run of a program with its arguments: without the hash function, and its own.
count() {
  local IFS=.
  local out=$work/$*
  taskset -c "$cpu" valgrind --tool=callgrind --callgrind-out-file="$out" "$programs/$1" "${@:2}" 2>"$out.log" ||
    { cat "$out.log" >&2; return 1; }
  callgrind_annotate --auto=no --threshold=99.9 "$out" 2>/dev/null | tr -d , |
    awk '/PROGRAM TOTALS/ { total = $1 } /sha2::/ { hash += $1 } END { printf "%d %d\n", total - hash, hash }'
}

# Instructions a step: `other hash`, from two runs of different length.
difference() {
  local short_run long_run other hash
  short_run=$(count "$@" "$short")
  long_run=$(count "$@" "$long")
  other=$(((${long_run% *} - ${short_run% *}) / (long - short)))
  hash=$(((${long_run#* } - ${short_run#* }) / (long - short)))
  ((other > 0)) || { echo "$*: $other instructions cannot be" >&2; return 1; }
  echo "$other $hash"
}

failed=0
results=""
for direction in send receive; do
  least=""
  for ((round = 0; round < rounds; round++)); do
    counted=$(difference instructions "$direction")
    ((${counted#* } > 0)) || { echo "$direction: nothing was hashed"; exit 1; }
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
fi

# Operations whose cost must hardly grow; the last number is the limit in percent. Streams are in an ordered map, whose
# depth grows logarithmically: opening and closing one was measured at 181 % beside 10,000, a message at 132 %. With
# 4,000 messages allocated, the system's allocator takes 8 % more.
while read -r what few many grown; do
  beside_few=$(difference growth "$what" "$few")
  beside_many=$(difference growth "$what" "$many")
  echo "$what: ${beside_few% *} instructions beside $few, ${beside_many% *} beside $many"
  if ((${beside_many% *} * 100 > ${beside_few% *} * grown)); then
    echo "$what: that grows with how many there are"
    failed=1
  fi
done <<<"open 10 10000 200
message 10 10000 150
window 16 4000 120"
exit "$failed"
