#!/usr/bin/env bash
# MFA from end to end, on terminals and together with other implementations: the AWS CLI and moto.
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
    # A download that fails once, or another apt that is at work, is no reason to give up.
    apt=(apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
    "${apt[@]}" update
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends python3-venv >/dev/null
  fi
  python3 -m venv "$venv"
  # What is compared with is what was looked at: a version that does something else fails no check.
  "$venv/bin/pip" install --quiet --retries 10 'awscli>=1.45,<1.47' 'moto[server]>=5.2,<5.3'
fi
[[ ${1:-} != --install ]] || exit 0

(cd "$root" && cargo build --quiet --locked -p examples --examples)
exec "$venv/bin/python" "$root/tests/mfa_peers.py" "$target/debug/examples" "$@"
