# What the scripts of this repository need from the machine, and how they get it. Sourced by ./run, ./test and .ci/run.
# shellcheck shell=bash

# To compile: FFmpeg's headers, libclang for their bindings, cmake for the TLS library, lld as the linker.
# shellcheck disable=SC2034 # the sourcing scripts read it
BUILD_PACKAGES=(
    gcc libc6-dev make clang libclang-dev pkg-config cmake lld
    libavcodec-dev libavformat-dev libavfilter-dev libavutil-dev libswscale-dev libswresample-dev
)
# To run every test on both setups.
# shellcheck disable=SC2034
TEST_PACKAGES=(postgresql redis-server nginx ffmpeg curl jq gettext-base)

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    BOLD=$'\e[1m' RED=$'\e[31m' RESET=$'\e[0m'
else
    BOLD='' RED='' RESET=''
fi

say() { printf '%s\n' "$*"; }

# heading TEXT: one line that stands out, with the seconds since the script began.
heading() { printf '\n%s== %s%s (%s s)\n' "$BOLD" "$*" "$RESET" "$SECONDS"; }

# fail LINE...: tells what went wrong and how to mend it, then ends the script.
fail() {
    printf '%s%s%s\n' "$RED" "$1" "$RESET" >&2
    shift
    (($# == 0)) || printf '%s\n' "$@" >&2
    exit 1
}

# ensure_packages NAME...: installs those Debian packages that are not there; asks the package database once.
ensure_packages() {
    if ! command -v apt-get dpkg-query >/dev/null; then
        say "This is no Debian-like system: making sure of these packages is left to you: $*"
        return 0
    fi
    local installed missing=() name
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null | grep '^installed ' | tr -d ',')
    for name in "$@"; do
        grep -qE "^installed (.* )?$name( |\$)" <<<"$installed" || missing+=("$name")
    done
    ((${#missing[@]})) || return 0

    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        fail "These system packages are missing, and installing them takes root or sudo: ${missing[*]}" \
            "Ask an administrator to run, once:" \
            "    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "Installing system packages (a minute or two): ${missing[*]}"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    as_root "${apt[@]}" update >/dev/null || say "The package lists could not be refreshed; trying with those that are here."
    without_starting_services "${apt[@]}" install -y --no-install-recommends "${missing[@]}" ||
        fail "Installing the system packages failed; the lines above are from apt-get. To try by hand:" \
            "    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Debian starts a server the moment its package is installed. The tests start their own, on free ports, so hold that back.
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

# require_rust: a Rust toolchain, recent enough for this workspace.
require_rust() {
    command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || fail "The Rust toolchain is missing (Debian's own is too old). To install it:" \
        "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\"" \
        "Then run this again."
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "${have%%-*}" | sort -V | head -n1) == "$wanted" ]] ||
        fail "Rust $wanted or newer is needed; this is Rust $have. To update it:" "    rustup update stable"
}
