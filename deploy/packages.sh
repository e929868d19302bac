# System packages, the Rust toolchain and messages for scripts. Sourced by ./run, ./test and .ci/run.
# shellcheck shell=bash

# For the build: FFmpeg headers, libclang for their bindings, cmake for the TLS library.
# shellcheck disable=SC2034 # used by the scripts that source this file
BUILD_PACKAGES=(
    gcc libc6-dev make clang libclang-dev pkg-config cmake
    libavcodec-dev libavformat-dev libavfilter-dev libavutil-dev libswscale-dev libswresample-dev
)
# For all tests on both setups.
# shellcheck disable=SC2034
TEST_PACKAGES=(
    postgresql redis-server nginx ffmpeg chromium prometheus curl jq openssl iproute2 gettext-base procps bsdutils
)

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    BOLD=$'\e[1m' RED=$'\e[31m' RESET=$'\e[0m'
else
    BOLD='' RED='' RESET=''
fi

say() { printf '%s\n' "$*"; }

# heading TEXT: prints a highlighted line, with the seconds since the script began.
heading() {
    local since=""
    ((SECONDS == 0)) || since=" ($SECONDS s)"
    printf "\n%s== %s%s%s\n" "$BOLD" "$*" "$RESET" "$since"
}

# fail LINE...: prints the error and how to fix it, then exits with 1.
fail() {
    printf '%s%s%s\n' "$RED" "$1" "$RESET" >&2
    shift
    (($# == 0)) || printf '%s\n' "$@" >&2
    exit 1
}

# ensure_packages NAME...: installs the missing Debian packages. Queries the package database once.
ensure_packages() {
    if ! command -v apt-get dpkg-query >/dev/null; then
        say "This is not a Debian-like system. Make sure that the equivalents of these packages are installed: $*"
        return 0
    fi
    local installed missing=() name
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null | grep '^installed ' | tr -d ',')
    for name in "$@"; do
        grep -qE "^installed (.* )?$name( |\$)" <<<"$installed" || missing+=("$name")
    done
    ((${#missing[@]})) || return 0

    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        fail "These system packages are missing, and installing them requires root or sudo: ${missing[*]}" \
            "Ask an administrator to run once:" \
            "    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "Installing system packages (a minute or two): ${missing[*]}"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    as_root "${apt[@]}" update >/dev/null || say "The package lists could not be updated; using the existing ones."
    without_starting_services "${apt[@]}" install -y --no-install-recommends "${missing[@]}" ||
        fail "Installing the system packages failed; the lines above are from apt-get. To try it yourself:" \
            "    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Prevents Debian from starting a server when its package is installed (policy-rc.d). The tests start their own servers on
# free ports.
without_starting_services() {
    local policy=/usr/sbin/policy-rc.d held=no status=0
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        held=yes
    fi
    as_root "$@" </dev/null >/dev/null || status=$?
    [[ $held == no ]] || as_root rm -f "$policy"
    return "$status"
}

# require_rust: fails unless a Rust toolchain is installed that is recent enough for this workspace.
require_rust() {
    command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || fail "The Rust toolchain is missing (Debian's own is too old). To install it:" \
        "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\"" \
        "Then run this again."
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "${have%%-*}" | sort -V | head -n1) == "$wanted" ]] ||
        fail "Rust $wanted or newer is required; installed is Rust $have. To update it:" "    rustup update stable"
}
