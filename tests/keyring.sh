#!/usr/bin/env bash
# MFA sessions in the system's keyring (feature `keyring` of ssm-mfa): its tests in memory, then with a
# private GNOME Keyring on a private D-Bus, then without any D-Bus.
#
#   tests/keyring.sh             run them; what is missing is installed first
#   tests/keyring.sh --install   only install what is missing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! { command -v dbus-run-session && command -v gnome-keyring-daemon; } >/dev/null; then
  # A download that fails once, or another apt that is at work, is no reason to give up.
  apt=(apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
  "${apt[@]}" update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends dbus-daemon gnome-keyring >/dev/null
fi
[[ ${1:-} != --install ]] || exit 0

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

keyring_tests() {
  cargo test --quiet --locked -p ssm-mfa --features keyring --lib -- "$@"
}

# Asked for by its whole name, a test that was renamed would be no test, and pass.
one() {
  tee "$home/log" < <(keyring_tests --ignored --nocapture --exact "cache::keyring::tests::$1" 2>&1)
  grep -q '1 passed; 0 failed' "$home/log"
}

keyring_tests cache::keyring

echo "GNOME Keyring:"
export home
export -f keyring_tests one
CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} HOME=$home \
  XDG_DATA_HOME=$home/data XDG_RUNTIME_DIR=$home dbus-run-session -- bash -euo pipefail -c '
    mkdir -p "$XDG_DATA_HOME"
    gnome-keyring-daemon --unlock --components=secrets <<<password >/dev/null
    one system_keyring_keeps_sessions'

echo "no D-Bus:"
DBUS_SESSION_BUS_ADDRESS=unix:path=$home/none one system_without_a_keyring_uses_files
