#!/usr/bin/env bash
# Attacks by a hostile service, agent or local user: see README.md.
#
#   tests/attacks/run.sh             run every attack; what is missing is installed first
#   tests/attacks/run.sh --install   only install what is missing
#   tests/attacks/run.sh --list      list them
#   tests/attacks/run.sh NAME…       run these
#
# Prints `N passed, N failed`, and ends with 1 if any failed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../harness/setup.sh"

install_peers
[[ ${1:-} != --install ]] || exit 0
find_programs
exec "$python" "$here/main.py" "$@"
