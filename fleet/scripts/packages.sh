# What activate does about packages of the distribution: they are put in, and what they turn on by themselves is turned off.

enabled_units() { systemctl list-unit-files --no-legend --state=enabled 2>/dev/null | cut -d ' ' -f 1; }

# Run a package tool; what it says goes to a file, as nobody reads along.
quietly() {
    DEBIAN_FRONTEND=noninteractive "$@" >>"$STATE/packages.log" 2>&1
}

# A package tool's last telling line: apt's last error, or else what it said last.
last_words() {
    words='' error=''
    while IFS= read -r line; do
        case $line in E:*) error=$line ;; *[!\ ]*) words=$line ;; esac
    done <"$STATE/packages.log"
    printf '%s' "${error:-$words}" | tr '\t' ' '
}

install_by_apt() {
    quietly apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold install "$@"
}

add_packages() {
    # What is enabled now, for a killed run's successor too: what its packages enabled is turned off all the same.
    if [ ! -f "$STATE/units-before" ]; then
        enabled_units >"$STATE/units-before.new" || fail "$STATE/units-before cannot be written"
        mv -f "$STATE/units-before.new" "$STATE/units-before"
    fi
    problem=''
    : >"$STATE/packages.log"
    IFS=$NL
    set -- $1
    IFS=' '
    names=$*
    if command -v apt-get >/dev/null; then
        # A package's own services stay off: what runs on a host is what a manifest names.
        policy=$ROOT/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            mkdir -p "${policy%/*}" && printf '#!/bin/sh\n# slipway\nexit 101\n' >"$policy" && chmod 0755 "$policy"
        fi
        install_by_apt "$@" || {
            # What an interrupted run left half configured stands in the way of everything else.
            quietly dpkg --force-confold --configure -a
            quietly apt-get -q -o DPkg::Lock::Timeout=300 update
            install_by_apt "$@" || problem="packages cannot be installed: $names: $(last_words)"
        }
        drop_policy
    elif command -v dnf >/dev/null; then
        quietly dnf -q -y --setopt=install_weak_deps=False install "$@" ||
            problem="packages cannot be installed: $names: $(last_words)"
    else
        problem="neither apt-get nor dnf is installed"
    fi
    [ -z "$problem" ] || fail "$problem"
}

# Turn off what packages have enabled, in this run or in one that was killed.
disable_new_units() {
    [ -f "$STATE/units-before" ] || return 0
    before=$NL$(cat "$STATE/units-before")$NL
    IFS=$NL
    for unit in $(enabled_units); do
        case $before in *"$NL$unit$NL"*) ;; *) systemctl --quiet --now disable "$unit" 1>&2 ;; esac
    done
    rm -f "$STATE/units-before"
}

drop_policy() {
    policy=$ROOT/usr/sbin/policy-rc.d
    [ -f "$policy" ] || return 0
    case $(cat "$policy") in *'# slipway'*) rm -f "$policy" ;; esac
}
