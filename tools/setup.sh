#!/usr/bin/env bash
# Installs what building (`setup.sh build`) or testing (`setup.sh test`) needs, on Debian 12+ and Ubuntu 24.04+.
# Does nothing, quickly, when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-build}

build_packages=(clang-19 lld-19 llvm-19 cmake ninja-build ccache pkg-config make
                libssl-dev libnghttp2-dev libcurl4-openssl-dev libyaml-cpp-dev libcli11-dev curl ca-certificates)
test_packages=(libgtest-dev libgmock-dev libclang-rt-19-dev clang-format-19 clang-tidy-19
               python3 python3-venv openssl nodejs npm)

# Boost 1.81 or newer: Asio of 1.74 (Debian 12's default) does not compile as C++20.
boost_package() {
  case "$(. /etc/os-release && echo "$ID$VERSION_ID")" in
    debian12) echo libboost1.81-dev ;;
    *) echo libboost-dev ;;
  esac
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

if ! command -v apt-get >/dev/null; then
  echo "setup: this machine has no apt-get; install by hand: ${build_packages[*]} and Boost >= 1.81" >&2
  exit 1
fi

wanted=("${build_packages[@]}" "$(boost_package)")
[ "$mode" = test ] && wanted+=("${test_packages[@]}")

missing=()
for package in "${wanted[@]}"; do
  # A node or python of the user's own is as good as the distribution's.
  case $package in
    nodejs | npm) command -v "${package/nodejs/node}" >/dev/null && continue ;;
    python3) command -v python3 >/dev/null && continue ;;
  esac
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ "$mode" = test ]; then
  # The official clients, for the end-to-end tests; pinned.
  if [ ! -x build/venv/bin/pytest ] || ! build/venv/bin/python -c 'import huggingface_hub, openai' 2>/dev/null; then
    echo "setup: Python clients for the end-to-end tests"
    python3 -m venv build/venv
    build/venv/bin/pip install -q --disable-pip-version-check -r tests/e2e/requirements.txt
  fi
  if [ -f tests/e2e/openai_node/package.json ] && [ ! -d tests/e2e/openai_node/node_modules/openai ]; then
    echo "setup: Node clients for the end-to-end tests"
    (cd tests/e2e/openai_node && npm install --no-audit --no-fund --silent)
  fi
fi
