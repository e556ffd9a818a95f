#!/usr/bin/env bash
# Remote Desktop from end to end: does xrdp's login window look the same through the tunnel as without it?
#
#   tests/rdp.sh             run the check; as root, missing Debian packages are installed first
#   tests/rdp.sh --install   only install what is missing
#
# A real server (xrdp) and a real client (xfreerdp under Xvfb) on loopback, and `cargo run --example rdp` with its
# sandbox between them. TUNNEL_COMMAND replaces that command, for instance by a release build of the program; it gets
# the same arguments. On failure the pictures and logs are kept, and their folder is printed.
set -euo pipefail
set -m # every child leads its own process group: SIGINT reaches it, and it can be ended with all its own children

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
width=800 height=600
desktop_colour=2F5D50 # what our xrdp paints around its login window, and under it
window_colour=DEDEDE

# Every command the check needs, and the Debian package that brings it.
needed=(xrdp:xrdp xfreerdp:freerdp2-x11 Xvfb:xvfb import:imagemagick compare:imagemagick identify:imagemagick
  mogrify:imagemagick openssl:openssl jq:jq perl:perl-base pgrep:procps)

install_missing() {
  local pair missing=() policy=/usr/sbin/policy-rc.d
  for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "rdp.sh: not installed: ${missing[*]} (as root on Debian this script installs them)" >&2
    exit 1
  fi
  # Installing xrdp must not start a Remote Desktop server that listens to the whole network.
  if [[ ! -e $policy ]]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  # A download that fails once, or another apt that is running, is no reason to give up.
  local apt=(apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
  "${apt[@]}" update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
}

(install_missing)
[[ ${1:-} != --install ]] || exit 0

work=$(mktemp -d "${TMPDIR:-/tmp}/ssm-tunnel-rdp.XXXXXX")
children=()
trap finish EXIT
trap 'exit 130' INT TERM HUP

finish() {
  local code=$? pid
  trap - EXIT
  disown -a # the shell need not report how each of them ended
  for pid in "${children[@]}"; do end_group "$pid"; done
  if ((code == 0)); then
    rm -rf "$work"
  else
    echo "rdp.sh: FAILED (exit code $code); pictures and logs: $work" >&2
  fi
  exit "$code"
}

fail() {
  echo "rdp.sh: $1" >&2
  shift
  for log in "$@"; do
    echo "--- the end of ${log##*/}:" >&2
    tail -n 25 "$log" >&2 || true
  done
  exit 1
}

# ---- processes ----------------------------------------------------------------------------------------------

# Registers the last background job to be ended with the script; the shell does not report how it ended.
adopt() {
  children+=("$!")
  disown "$!"
}

# Tries a command every 0.1 s until it succeeds, for at least $1 s. The limits only catch a machine that hangs.
patience=300
poll() {
  local end=$((SECONDS + $1 + 1))
  shift
  while ((SECONDS < end)); do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  return 1
}

alive() { kill -0 "$1" 2>/dev/null; }
gone() { ! alive "$1"; }
group_gone() { ! kill -0 -- "-$1" 2>/dev/null; }

end_group() {
  kill -TERM -- "-$1" 2>/dev/null || return 0
  poll 5 group_gone "$1" || kill -KILL -- "-$1" 2>/dev/null || true
}

accepts() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

# ---- server and client --------------------------------------------------------------------------------------

start_xrdp() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
  xrdp_port=$(free_port)
  cat >"$work/xrdp.ini" <<INI
[Globals]
ini_version=1
fork=true
port=tcp://127.0.0.1:$xrdp_port
tcp_nodelay=true
security_layer=tls
certificate=$work/cert.pem
key_file=$work/key.pem
ssl_protocols=TLSv1.2, TLSv1.3
bitmap_cache=true
bitmap_compression=true
max_bpp=32
allow_channels=true
use_fastpath=both
ls_title=Login through ssm-tunnel
ls_top_window_bg_color=${desktop_colour,,}
ls_bg_color=${window_colour,,}
ls_width=350
ls_height=430
ls_logo_x_pos=55
ls_logo_y_pos=50
ls_label_x_pos=30
ls_label_width=65
ls_input_x_pos=110
ls_input_width=210
ls_input_y_pos=220
ls_btn_ok_x_pos=142
ls_btn_ok_y_pos=370
ls_btn_ok_width=85
ls_btn_ok_height=30
ls_btn_cancel_x_pos=237
ls_btn_cancel_y_pos=370
ls_btn_cancel_width=85
ls_btn_cancel_height=30

[Logging]
LogFile=$work/xrdp.log
LogLevel=INFO
EnableSyslog=false

[Xvnc]
name=Xvnc
lib=libvnc.so
username=ask
password=ask
ip=127.0.0.1
port=-1
INI
  xrdp --nodaemon --config "$work/xrdp.ini" >"$work/xrdp.out" 2>&1 </dev/null &
  xrdp_pid=$!
  adopt
  poll $patience accepts "$xrdp_port" || fail "xrdp does not listen" "$work/xrdp.out" "$work/xrdp.log"
  alive "$xrdp_pid" || fail "xrdp ended" "$work/xrdp.out" "$work/xrdp.log"
}

# The X server picks a free display itself and writes its number. Without -noreset it restarts whenever its last client
# leaves, and refuses clients meanwhile.
start_display() {
  : >"$work/display"
  Xvfb -displayfd 3 -screen 0 "${width}x${height}x24" -nolisten tcp -noreset \
    3>"$work/display" >"$work/xvfb.log" 2>&1 </dev/null &
  adopt
  poll $patience test -s "$work/display" || fail "Xvfb does not start" "$work/xvfb.log"
  DISPLAY=:$(<"$work/display")
  export DISPLAY
}

# Connects the client to port $1; $2 names its log.
start_client() {
  client_log=$work/$2.log
  # Its own HOME: the client keeps settings and known hosts there.
  HOME=$work xfreerdp "/v:127.0.0.1:$1" /cert:ignore /sec:tls /u: /p: "/size:${width}x${height}" /bpp:32 \
    -decorations -grab-keyboard >"$client_log" 2>&1 </dev/null &
  client_pid=$!
  adopt
}

stop_client() {
  end_group "$client_pid"
  blank_screen=$work/blank-screen.png
  poll $patience shows_no_window "$blank_screen" || fail "the client's window stays on the screen" "$client_log"
}

# ---- pictures -----------------------------------------------------------------------------------------------

screenshot() { import -silent -window root "$1"; }

# Succeeds for a picture with something on it: an empty desktop has one colour, xrdp's login window hundreds.
is_drawn() {
  local colours deviation
  read -r colours deviation < <(identify -format '%k %[fx:round(255*standard_deviation)]\n' "$1")
  ((colours >= 50 && deviation >= 5))
}

shows_no_window() {
  screenshot "$1"
  ! is_drawn "$1"
}

# Succeeds when no pixel of the two pictures differs by more than 2% (rounding of colours in the codec).
same_picture() {
  local differing
  [[ $(identify -format %wx%h "$1") == "$(identify -format %wx%h "$2")" ]] || return 1
  differing=$(compare -metric AE -fuzz 2% "$1" "$2" "$work/difference.png" 2>&1) || true
  [[ $differing == 0 ]]
}

# Judges every picture, the tunnel's and the self-check's.
matches_reference() { is_drawn "$1" && same_picture "$work/reference.png" "$1"; }

client_alive() { alive "$client_pid" || fail "the client ended before the login window was there" "$client_log" "$work/xrdp.log"; }

# Takes pictures until one is drawn and ten more in a row, over a second, are the same: the reference.
settle() {
  local picture=$1 tries same=0
  for ((tries = 0; tries < 300 && same <= 10; tries++)); do
    client_alive
    screenshot "$work/next.png"
    if ((same > 0)) && same_picture "$picture" "$work/next.png"; then
      ((++same))
    elif is_drawn "$work/next.png"; then
      cp "$work/next.png" "$picture"
      same=1
    else
      same=0
    fi
    sleep 0.1
  done
  ((same > 10)) || fail "no settled picture in $tries tries" "$client_log" "$work/xrdp.log"
}

shows_reference() {
  client_alive
  screenshot "$1"
  matches_reference "$1"
}

pixel() { identify -format "%[hex:p{$2,$3}]" "$1"; }

# Checks that the reference is xrdp's login window: it has the colours of our xrdp.ini.
check_reference() {
  local x y middle_x=$((width / 2))
  for x in 5 $((width - 6)); do
    for y in 5 $((height - 6)); do
      [[ $(pixel "$1" "$x" "$y") == "$desktop_colour"* ]] || fail "the reference is not xrdp's desktop at $x,$y"
    done
  done
  # Inside the window, at its left edge and at the foot under its buttons.
  for x in $((middle_x - 165)) $((middle_x + 165)); do
    [[ $(pixel "$1" "$x" $((height / 2 + 195))) == "$window_colour"* ]] || fail "the reference has no login window at $x"
  done
}

# A comparison that cannot fail proves nothing: each of these must be refused.
check_comparison() {
  local reference=$work/reference.png bad
  for bad in blank shifted one-field missing-corner; do cp "$reference" "$work/bad-$bad.png"; done
  mogrify -fill black -colorize 100 "$work/bad-blank.png"
  mogrify -roll +3+0 "$work/bad-shifted.png"
  mogrify -region 120x16+350+330 -negate "$work/bad-one-field.png"
  mogrify -fill black -draw "rectangle 0,0 9,9" "$work/bad-missing-corner.png"
  matches_reference "$reference" || fail "the comparison refuses the reference itself"
  for bad in "$work"/bad-*.png "$blank_screen"; do
    if matches_reference "$bad"; then fail "the comparison takes ${bad##*/} for the login window"; fi
  done
  if is_drawn "$work/bad-blank.png"; then fail "a blank picture counts as drawn"; fi
}

# ---- tunnel -------------------------------------------------------------------------------------------------

tunnel() {
  local command=(cargo run --quiet --example rdp --)
  if [[ -n ${TUNNEL_COMMAND:-} ]]; then read -ra command <<<"$TUNNEL_COMMAND"; fi
  cd "$root"
  exec "${command[@]}" "$@"
}

# The first event of this name, as one JSON object; fails when there is none.
event() { jq -c --arg name "$1" 'select(.event == $name)' "$work/events.jsonl" 2>/dev/null | head -n 1 | grep .; }
has_event() { event "$1" >/dev/null; }
listening_or_ended() { has_event listening || gone "$tunnel_pid"; }

start_tunnel() {
  tunnel --sandbox --sandbox-destination "127.0.0.1:$xrdp_port" --local-port-number 0 --output json \
    >"$work/events.jsonl" 2>"$work/tunnel.log" </dev/null &
  tunnel_pid=$!
  children+=("$tunnel_pid")
  poll $patience listening_or_ended || fail "no listening event in $patience s" "$work/events.jsonl" "$work/tunnel.log"
  has_event listening || fail "the tunnel ended before it listened" "$work/events.jsonl" "$work/tunnel.log"
  local address
  address=$(event listening | jq -r .address)
  [[ $address =~ ^127\.0\.0\.1:([0-9]+)$ ]] || fail "the listening event's address is not on 127.0.0.1: $address"
  tunnel_port=${BASH_REMATCH[1]}
  [[ $tunnel_port != "$xrdp_port" ]] || fail "the tunnel reports xrdp's own port"
}

# Ctrl-C while a client is connected: the tunnel ends its session, reports that last, and exits with 0.
stop_tunnel() {
  local code=0
  kill -INT "$tunnel_pid"
  poll $patience gone "$tunnel_pid" || fail "the tunnel still runs $patience s after SIGINT" "$work/events.jsonl" "$work/tunnel.log"
  wait "$tunnel_pid" || code=$?
  ((code == 0)) || fail "the tunnel's exit code after SIGINT is $code" "$work/events.jsonl" "$work/tunnel.log"
  [[ $(tail -n 1 "$work/events.jsonl" | jq -r .event 2>/dev/null) == closed ]] ||
    fail "the last line is not the closed event" "$work/events.jsonl" "$work/tunnel.log"
  if accepts "$tunnel_port"; then fail "port $tunnel_port still accepts connections"; fi
}

# A client that the program starts itself, with the file that it wrote.
launch_client() {
  # A home of its own for the client; cargo and rustup stay in the user's.
  RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} HOME=$work \
    tunnel --sandbox --sandbox-destination "127.0.0.1:$xrdp_port" --local-port-number 0 --output json \
    --launch --username tester --rdp-file "$work/launched.rdp" \
    >"$work/events.jsonl" 2>"$work/tunnel.log" </dev/null &
  tunnel_pid=$!
  client_pid=$tunnel_pid client_log=$work/tunnel.log
  children+=("$tunnel_pid")
}

# Its window has xrdp's colour near a corner, whatever size the client chose.
shows_desktop() {
  client_alive
  screenshot "$1"
  is_drawn "$1" && [[ $(identify -format '%[hex:u.p{w/2,h-40}]' "$1") == "$desktop_colour"* ]]
}

# When the client is gone, so is the tunnel: 0, or 11 where the client counts its end as a failure.
close_launched() {
  local code=0 client
  client=$(pgrep -P "$tunnel_pid" -x xfreerdp) || fail "no xfreerdp runs under the tunnel" "$work/tunnel.log"
  kill -TERM "$client"
  poll $patience gone "$tunnel_pid" || fail "the tunnel still runs $patience s after its client" "$work/events.jsonl" "$work/tunnel.log"
  wait "$tunnel_pid" || code=$?
  ((code == 0 || code == 11)) || fail "the exit code after the client's end is $code" "$work/tunnel.log"
  grep -q "^full address:s:127.0.0.1:" "$work/launched.rdp" || fail "no address in launched.rdp"
  [[ $(tail -n 1 "$work/events.jsonl" | jq -r .event 2>/dev/null) =~ ^(closed|error)$ ]] ||
    fail "the last line is neither the closed event nor an error" "$work/events.jsonl" "$work/tunnel.log"
}

# ---- the check ----------------------------------------------------------------------------------------------

step() { echo "rdp.sh: $*"; }

if [[ -z ${TUNNEL_COMMAND:-} ]]; then
  step "build the example"
  (cd "$root" && cargo build --quiet --example rdp)
fi

start_xrdp
start_display

step "connect to xrdp directly, for the reference picture"
start_client "$xrdp_port" client-direct
settle "$work/reference.png"
check_reference "$work/reference.png"
stop_client
step "self-check: the comparison refuses a blank, a shifted and an altered picture"
check_comparison

step "connect through the tunnel, twice"
start_tunnel
for connection in 1 2; do
  ((connection == 1)) || stop_client
  start_client "$tunnel_port" "client-tunnel-$connection"
  poll $patience shows_reference "$work/tunnel-$connection.png" ||
    fail "picture $connection through the tunnel differs (reference.png, tunnel-$connection.png, difference.png)" \
      "$client_log" "$work/tunnel.log"
done

step "SIGINT with the client connected"
stop_tunnel
stop_client

step "--launch: xfreerdp opens the written file, and the tunnel ends with it"
launch_client
poll $patience shows_desktop "$work/launched.png" ||
  fail "the launched client does not show xrdp's desktop (launched.png)" "$work/tunnel.log" "$work/events.jsonl"
close_launched

step "passed: the login window is the same through the tunnel as without it"
