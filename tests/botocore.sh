#!/usr/bin/env bash
# Configuration files as botocore reads them: 2,000 generated cases, ours and botocore's results compared.
#
#   tests/botocore.sh             what is missing is installed first
#   tests/botocore.sh --install   only install what is missing
#
# SSM_BOTOCORE_SEED is the first seed (default 1), SSM_BOTOCORE_CASES how many. A failure prints its seed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# botocore is in the environment of the AWS CLI.
"$root/tests/mfa_peers.sh" --install
[[ ${1:-} != --install ]] || exit 0

cd "$root"
exec cargo test --quiet --locked -p tests --test botocore -- --ignored --nocapture
