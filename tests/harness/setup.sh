# Sourced by the runs of situations and attacks: Python with the AWS CLI, and BIN.
#
# `BIN` names the folder of the built programs; unset, the examples are built. A peer that is missing is
# installed (as root on Debian), or the run fails.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
python=$target/mfa-peers/bin/python

install_peers() { # program:package …
  local pair missing=()
  "$root/tests/mfa_peers.sh" --install
  "$root/tests/peers.sh"
  for pair; do
    PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  ((${#missing[@]} == 0)) && return
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "not installed: ${missing[*]} (as root on Debian this script installs them)" >&2
    exit 1
  fi
  local apt=(apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
  "${apt[@]}" update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
}

find_programs() {
  if [[ -z ${BIN:-} ]]; then
    (cd "$root" && cargo build --quiet --locked -p examples -p examples-in-process --examples)
    BIN=$target/debug/examples
  fi
  export BIN AWS=$target/mfa-peers/bin/aws PYTHONPATH=$root/tests/harness PYTHONDONTWRITEBYTECODE=1
}
