#!/usr/bin/env bash
# Installs what the tests with real peers and the fuzzers need, as root on Debian: OpenSSH, PostgreSQL, a
# C++ compiler, a proxy, stunnel, shells, Python, and by pip the AWS CLI. Starts nothing.
set -euo pipefail

# Every program, and the Debian package that brings it.
needed=(ssh:openssh-client scp:openssh-client sshd:openssh-server script:bsdutils initdb:postgresql
  python3:python3 pip3:python3-pip openssl:openssl bash:bash c++:g++ tinyproxy:tinyproxy-bin
  stunnel4:stunnel4 zsh:zsh fish:fish dash:dash pgrep:procps) # procps also has the kill that is no part of a shell

postgresql=$(printf '%s:' /usr/lib/postgresql/*/bin) # Debian keeps them out of PATH
missing=()
for pair in "${needed[@]}"; do
  PATH=$PATH:/usr/sbin:$postgresql command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
install_missing() {
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "peers.sh: not installed: ${missing[*]} (as root on Debian this script installs them)" >&2
    exit 1
  fi
  # Installing a server must not start it.
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  # A download that fails once, or another apt that is at work, is no reason to give up.
  local apt=(apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
  "${apt[@]}" update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
}

((${#missing[@]} == 0)) || (install_missing)
# Debian's Python belongs to apt; the AWS CLI alone is added beside it.
command -v aws >/dev/null || PIP_BREAK_SYSTEM_PACKAGES=1 pip3 install --quiet --root-user-action ignore --retries 10 'awscli>=1.45,<1.47'
