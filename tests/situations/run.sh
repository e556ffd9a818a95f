#!/usr/bin/env bash
# Users' configurations, tools and habits: see README.md.
#
#   tests/situations/run.sh             run every situation; what is missing is installed first
#   tests/situations/run.sh --install   only install what is missing
#   tests/situations/run.sh --list      list them
#   tests/situations/run.sh NAME…       run these
#
# Prints `N passed, N failed`, and ends with 1 if any failed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../harness/setup.sh"

install_peers curl:curl rsync:rsync git:git zsh:zsh fish:fish unshare:util-linux setpriv:util-linux
[[ ${1:-} != --install ]] || exit 0
find_programs
exec "$python" "$here/main.py" "$@"
