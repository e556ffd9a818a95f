#!/usr/bin/env bash
# Compares the public API of each published library with its snapshot in tests/public_api, so that a change
# to it is seen in review, and refuses types that must not be part of it.
#
#     tests/public_api.sh              compares
#     tests/public_api.sh --bless      rewrites the snapshots
#     tests/public_api.sh --install    installs cargo-public-api
#
# cargo-public-api reads rustdoc's JSON, which a stable rustdoc writes only with RUSTC_BOOTSTRAP. Only rustdoc
# gets that variable: cargo would build every dependency again for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.52.0 bless=false
case ${1:-} in
  '') ;;
  --bless) bless=true ;;
  --install)
    cargo public-api --version 2>/dev/null || cargo install --quiet --locked cargo-public-api --version "$version"
    exit
    ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac

# Types of an SDK service crate, of the SDK's runtime or of a lower crate's error: each of their breaking
# releases would be one of ours.
forbidden() {
  case $1 in
    ssm-protocol | ssm-smux | ssm-forward) echo 'tokio::|aws_' ;;
    ssm-tunnel) echo 'aws_sdk_|aws_smithy_|aws_runtime|os_shim_internal|ssm_(protocol|smux|forward)::|ssm_(relay|session)::[a-z:_]*[A-Za-z]*Error' ;;
    *) echo 'aws_sdk_|os_shim_internal' ;;
  esac
}

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec "%s" "$@"\n' "${RUSTDOC:-rustdoc}" >"$new/rustdoc"
chmod +x "$new/rustdoc"
export RUSTDOC=$new/rustdoc

passed=0 failed=0
for manifest in crates/*/Cargo.toml; do
  folder=${manifest%/Cargo.toml} crate=$(basename "${manifest%/Cargo.toml}")
  # A program has no API, and what is not published has no users.
  [[ -f $folder/src/lib.rs && ! -f $folder/src/main.rs && ! -d $folder/src/bin ]] || continue
  grep -q '^publish = false' "$manifest" && continue
  snapshot=tests/public_api/$crate.txt
  cargo public-api --package "$crate" --all-features -sss >"$new/$crate.txt" 2>"$new/log" ||
    { cat "$new/log"; exit 1; }
  [[ -s $new/$crate.txt ]] || { echo "$crate: no public API was found"; exit 1; }
  if grep -E "$(forbidden "$crate")" "$new/$crate.txt"; then
    echo "$crate: the types above must not be part of its API"
    failed=$((failed + 1))
  fi
  if $bless; then
    mkdir -p tests/public_api
    cp "$new/$crate.txt" "$snapshot"
  elif ! diff -u "$snapshot" "$new/$crate.txt"; then
    echo "$crate: its API changed; if that is meant: tests/public_api.sh --bless"
    failed=$((failed + 1))
  fi
  echo "$crate: $(wc -l <"$new/$crate.txt") items"
  passed=$((passed + 1))
done
for snapshot in tests/public_api/*.txt; do
  [[ -f $new/$(basename "$snapshot") ]] && continue
  echo "$snapshot belongs to no published library"
  failed=$((failed + 1))
done
echo "$passed passed, $failed failed"
((failed == 0))
