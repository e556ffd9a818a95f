#!/usr/bin/env bash
# What signals do to a running tunnel, with the programs as a user runs them.
#
#   SIGINT, SIGTERM, SIGHUP   the session is terminated, the exit code is 0
#   a second SIGINT           exits at once with 130, whatever the service does; a signal within 0.3 s
#                             counts as the same one, forwarded by another program
#   a stopped service         accepts TCP and answers nothing: closing ends in bounded time
#   SIGSTOP and SIGCONT       an open connection survives, as after a laptop's sleep
#   SIGKILL                   the session stays until the service ends it
#
# Everything runs on loopback. `EXAMPLES` names a folder with built programs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

examples=${EXAMPLES:-}
if [[ -z $examples ]]; then
  cargo build --quiet --locked -p examples --example sandbox --example port_forward
  examples=${CARGO_TARGET_DIR:-target}/debug/examples
fi

work=$(mktemp -d)
processes=()
finish() {
  local code=$?
  for process in "${processes[@]}"; do
    kill -CONT "$process" 2>/dev/null || true
    kill -KILL "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  rm -rf "$work"
  ((code == 0)) || echo "signals: FAILED"
}
trap finish EXIT

fail() { echo "signals: $*"; exit 1; }

# Waits for a line in a file; the limit only catches a machine that hangs.
await() { # file, pattern
  local _
  for _ in {1..6000}; do
    grep -qE "$2" "$1" 2>/dev/null && return
    sleep 0.1
  done
  cat "$1"
  fail "no line '$2' in $1"
}

# Stops a process, and waits for all its threads: they go on until one of them has handled the signal.
stop() {
  local _
  kill -STOP "$1"
  for _ in {1..6000}; do
    grep -h '^State:' "/proc/$1/task/"*/status 2>/dev/null | grep -qv 'T (stopped)' || return 0
    sleep 0.1
  done
  fail "process $1 does not stop"
}

start_sandbox() { # more options
  rm -f "$work/sandbox"
  "$examples/sandbox" --no-mfa "$@" >"$work/sandbox" &
  sandbox=$!
  processes+=("$sandbox")
  await "$work/sandbox" 'next code'
  eval "$(grep '^export' "$work/sandbox")"
}

start_tunnel() { # more options
  rm -f "$work/tunnel" "$work/log"
  "$examples/port_forward" --target i-0123456789abcdef0 --port-number 1 --output json \
    --log "$work/log" "$@" >"$work/tunnel" 2>"$work/errors" &
  tunnel=$!
  processes+=("$tunnel")
}

ready() {
  await "$work/tunnel" '"event":"ready"'
  port=$(sed -nE 's/.*"address":"127\.0\.0\.1:([0-9]+)".*/\1/p' "$work/tunnel")
}

# Waits for the tunnel's end, and sets `code`.
ended() {
  code=0
  wait "$tunnel" 2>/dev/null || code=$?
}

# The destination is another sandbox's API, as an HTTP server that answers every request.
start_sandbox
start_sandbox --destination "${AWS_ENDPOINT_URL#http://}"

for signal in INT TERM HUP; do
  start_tunnel
  ready
  kill "-$signal" "$tunnel"
  ended
  [[ $code == 0 ]] || fail "SIG$signal: exit code $code"
  grep -q 'session terminated' "$work/log" || fail "SIG$signal: the session is not terminated"
  await "$work/tunnel" '"event":"closed","end":"closed"'
  echo "signals: SIG$signal terminates the session"
done

# A signal that another program forwards too, as coreutils' timeout does. The process is stopped while both are
# sent, so that even a slow machine sees them together.
start_tunnel
ready
stop "$tunnel"
kill -INT "$tunnel"
kill -TERM "$tunnel"
kill -CONT "$tunnel"
ended
[[ $code == 0 ]] || fail "a signal that came twice: exit code $code"
grep -q 'session terminated' "$work/log" || fail "a signal that came twice: the session is not terminated"
echo "signals: a signal that comes twice counts once"

# A second signal, while the service is silent.
start_tunnel
ready
stop "$sandbox"
kill -INT "$tunnel"
await "$work/errors" 'Terminating session'
sleep 0.5
kill -INT "$tunnel"
ended
[[ $code == 130 ]] || fail "a second SIGINT: exit code $code"
echo "signals: a second SIGINT exits at once"
kill -CONT "$sandbox"

# The same while StartSession is unanswered.
stop "$sandbox"
start_tunnel
await "$work/log" 'StartSession'
kill -INT "$tunnel"
await "$work/errors" 'Interrupted'
sleep 0.5
kill -INT "$tunnel"
ended
[[ $code == 130 ]] || fail "interrupted while opening: exit code $code"
echo "signals: a second SIGINT exits at once while the session is being started"
kill -CONT "$sandbox"

# Without a second signal it ends by itself.
start_tunnel
ready
stop "$sandbox"
kill -INT "$tunnel"
before=$SECONDS
ended
[[ $code == 0 ]] || fail "closing against a silent service: exit code $code"
((SECONDS - before <= 30)) || fail "closing took $((SECONDS - before)) s"
grep -q 'TerminateSession timed out' "$work/log" || fail "the time-out is not logged"
echo "signals: closing against a silent service ends in $((SECONDS - before)) s"
kill -CONT "$sandbox"

# A sleep longer than each of the tunnel's default deadlines for a lost websocket.
start_tunnel
ready
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&3
read -r -t 600 answer <&3 || fail "no answer before the sleep"
[[ $answer == HTTP/1.1* ]] || fail "another answer: $answer"
stop "$tunnel"
sleep "${ASLEEP:-15}"
kill -CONT "$tunnel"
printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&3
answer=
while read -r -t 600 line <&3; do
  # It follows the first answer's body on the same line.
  [[ $line == *HTTP/1.1* ]] && answer=$line && break
done
[[ -n $answer ]] || fail "no answer on the same connection after the sleep"
exec 3>&-
await "$work/log" 'the machine slept'
kill -INT "$tunnel"
ended
[[ $code == 0 ]] || fail "after a sleep: exit code $code"
echo "signals: a connection goes on after ${ASLEEP:-15} s of sleep"

# As documented, a killed program leaves its session behind.
start_tunnel
ready
kill -KILL "$tunnel"
ended
[[ $code == 137 ]] || fail "SIGKILL: exit code $code"
! grep -q 'session terminated' "$work/log" || fail "a killed program terminated its session"
echo "signals: passed"
