#!/usr/bin/env bash
# MFA from end to end, on terminals and beside other implementations: the AWS CLI and moto.
#
#   tests/mfa_peers.sh             run every check; what is missing is installed first
#   tests/mfa_peers.sh --install   only install what is missing
#   tests/mfa_peers.sh NAME…       run these checks
#
# The peers are Python packages in an environment of their own below the target directory.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=$target/mfa-peers

if ! "$venv/bin/python" -c 'import awscli, moto.server' 2>/dev/null; then
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  fi
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet 'awscli>=1.45,<2' 'moto[server]>=5.2,<6'
fi
[[ ${1:-} != --install ]] || exit 0

(cd "$root" && cargo build --quiet --locked -p examples --examples)
exec "$venv/bin/python" "$root/tests/mfa_peers.py" "$target/debug/examples" "$@"
