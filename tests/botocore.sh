#!/usr/bin/env bash
# Compares how ssm-aws and botocore read configuration files: 2,000 generated cases.
#
#   tests/botocore.sh             what is missing is installed first
#   tests/botocore.sh --install   only install what is missing
#
# SSM_BOTOCORE_SEED is the first seed (default 1), SSM_BOTOCORE_CASES how many. A failure prints its seed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# botocore comes with the environment of the AWS CLI.
"$root/tests/mfa_peers.sh" --install
[[ ${1:-} != --install ]] || exit 0

cd "$root"
exec cargo test --quiet --locked -p tests --test botocore -- --ignored --nocapture
