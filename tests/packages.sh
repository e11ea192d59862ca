# Sourced by the scripts beside it: install packages of the system where that is possible, or say what is missing.

install_packages() {
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v apt-get >/dev/null && sudo --non-interactive true 2>/dev/null; then
        as_root="sudo"
    elif command -v brew >/dev/null; then
        echo "Installing $* with Homebrew ..."
        brew install --quiet "$@"
        return
    else
        echo "The tests need $* from your system's packages, and may not install it here." >&2
        echo "Install it (Debian, Ubuntu: sudo apt-get install $*) and run this again." >&2
        exit 1
    fi
    echo "Installing $* ..."
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The same for packages that bring services: none of them is started, now or when the system boots.
install_without_services() {
    if ! command -v apt-get >/dev/null; then
        install_packages "$@"
        return
    fi
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    policy=/usr/sbin/policy-rc.d
    # What invoke-rc.d asks before it starts anything; one that is there already is the system's own.
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
        $as_root chmod +x $policy
        trap '$as_root rm -f $policy' EXIT
    fi
    install_packages "$@"
    for service in "$@"; do
        ! command -v systemctl >/dev/null || $as_root systemctl disable --quiet "$service" 2>/dev/null || true
    done
}
