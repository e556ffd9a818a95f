#!/usr/bin/env bash
# Endurance runs over real sockets on loopback, client and sandbox in processes of their own.
#
#   tests/soak.sh                   an hour of mixed traffic with faults; memory must stay flat
#   tests/soak.sh mixed --seconds 300 --seed 7 --stop
#   tests/soak.sh transfer          1 GB each way while the websocket is cut 200 times (25 minutes)
#   tests/soak.sh transfer --megabytes 8 --cuts 0 --drop 0.05 --duplicate 0.05 --reorder 0.05 --delay 50
#   tests/soak.sh --short           what CI runs: a minute or two of each
#
# The exit code is 0 only if every byte was right, no connection or session was left behind, and memory stayed
# within its bound. `SOAK` names a built program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

soak=${SOAK:-}
if [[ -z $soak ]]; then
  cargo build --quiet --locked --release -p tests --bin soak
  soak=${CARGO_TARGET_DIR:-target}/release/soak
fi

if [[ ${1-} == --short ]]; then
  "$soak" mixed --seconds 60 --trouble-every 5 --stop --drop 0.01 --duplicate 0.01 --reorder 0.01
  "$soak" mixed --seconds 20 --trouble-every 5 --agent-version 3.0.196.0
  "$soak" transfer --megabytes 20 --cuts 20
  "$soak" transfer --megabytes 2 --cuts 0 --drop 0.05 --duplicate 0.05 --reorder 0.05 --delay 50
elif (($# == 0)); then
  "$soak" mixed --stop
else
  "$soak" "$@"
fi
