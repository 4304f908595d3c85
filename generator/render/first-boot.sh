# What user-data does on a host beside writing files: the steps of an apply, in its order, without secrets. Run once, at the
# end of the first boot. It can be run again; what it could not do it says, and the first apply does it.
# Words: the phases in order. The steps stand in first-boot.pool, first-boot.host and first-boot.join beside this file, a line
# each, words separated by tabs:
#   PHASE package NAME | user NAME GROUPS | directory PATH MODE OWNER GROUP | file PATH MODE OWNER GROUP | link PATH TARGET
#   PHASE fetch PATH MEMBER SHA256 URL | restart UNIT | reload UNIT | enable UNIT | start UNIT
#   - absent KEY (a path, unit:NAME, user:NAME, package:NAME: what this host does not have of its pool's)
set -u
umask 022
ROOT=${SLIPWAY_ROOT:-}
HERE=$ROOT/run/slipway
STATE=$ROOT/var/lib/slipway
TAB=$(printf '\t')
NL='
'
faults=0
fault() {
    printf 'slipway: %s\n' "$1" >&2
    faults=$((faults + 1))
}
label() { [ ! -x /usr/sbin/restorecon ] || /usr/sbin/restorecon -F "$1" || :; }

# The lines of one phase and verb, without what is absent, into $HERE/lines; a pool's line comes before its host's.
lines_of() {
    for list in "$HERE/first-boot.pool" "$HERE/first-boot.host" "$HERE/first-boot.join"; do
        [ ! -f "$list" ] || cat "$list"
    done | while IFS=$TAB read -r at verb one rest; do
        [ "$at$TAB$verb" = "$1$TAB$2" ] || continue
        case $verb in
        package | user) key=$verb:$one ;;
        enable | start) key=unit:$one ;;
        *) key=$one ;;
        esac
        case $absent in *"$NL$key$NL"*) [ "$verb" = absent ] || continue ;; esac
        printf '%s%s\n' "$one" "${rest:+$TAB$rest}"
    done >"$HERE/lines"
}

enabled_units() { systemctl list-unit-files --no-legend --state=enabled 2>/dev/null | cut -d ' ' -f 1; }

install_by_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confold install "$@"
}

# As apply does it: without what is only recommended, and a package's own services stay off.
packages() {
    missing=''
    while read -r name; do
        if command -v dpkg-query >/dev/null; then
            [ "$(dpkg-query -W -f='${db:Status-Status}' -- "$name" 2>/dev/null)" = installed ] || missing="$missing $name"
        else
            rpm -q -- "$name" >/dev/null 2>&1 || missing="$missing $name"
        fi
    done <"$HERE/lines"
    [ -n "$missing" ] || return 0
    before=$NL$(enabled_units)$NL
    if command -v apt-get >/dev/null; then
        policy=$ROOT/usr/sbin/policy-rc.d ours=''
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\n# slipway\nexit 101\n' >"$policy" && chmod 0755 "$policy" && ours=yes
        fi
        # shellcheck disable=SC2086 # a list of words
        install_by_apt $missing || {
            apt-get -q -o DPkg::Lock::Timeout=300 update
            install_by_apt $missing || fault "packages cannot be installed:$missing"
        }
        [ -z "$ours" ] || rm -f "$policy"
    else
        # shellcheck disable=SC2086 # a list of words
        dnf -q -y --setopt=install_weak_deps=False install $missing || fault "packages cannot be installed:$missing"
    fi
    for unit in $(enabled_units); do
        case $before in *"$NL$unit$NL"*) ;; *) systemctl --quiet --now disable "$unit" || fault "$unit cannot be disabled" ;; esac
    done
}

users() {
    [ -s "$HERE/lines" ] || return 0
    systemd-sysusers --root="${ROOT:-/}" || fault "systemd-sysusers cannot make the system users"
    while IFS=$TAB read -r name groups; do
        set -- "u $name - \"$name\""
        for group in $(printf '%s' "$groups" | tr ',' ' '); do
            [ "$group" = - ] || set -- "$@" "g $group -" "m $name $group"
        done
        systemd-sysusers --root="${ROOT:-/}" --inline "$@" || fault "user $name cannot be made"
    done <"$HERE/lines"
}

owned() { chown -- "$3:$4" "$1" && chmod "$2" "$1" && label "$1"; }

directories() {
    while IFS=$TAB read -r path mode owner group; do
        mkdir -p -- "$ROOT$path" && owned "$ROOT$path" "$mode" "$owner" "$group" ||
            fault "$path cannot be made $mode $owner:$group"
    done <"$HERE/lines"
}

file_owners() {
    while IFS=$TAB read -r path mode owner group; do
        owned "$ROOT$path" "$mode" "$owner" "$group" || fault "$path cannot be made $mode $owner:$group"
    done <"$HERE/lines"
}

links() {
    while IFS=$TAB read -r path target; do
        mkdir -p -- "$(dirname "$ROOT$path")" && ln -sfnT -- "$target" "$ROOT$path" && label "$ROOT$path" ||
            fault "$path cannot be made a link to $target"
    done <"$HERE/lines"
}

# Each artifact is fetched once, proved by its digest, and taken apart; half a binary is never in place.
fetches() {
    [ -s "$HERE/lines" ] || return 0
    part=$STATE/first-boot.part have=''
    (umask 077 && mkdir -p "$STATE")
    sort -t "$TAB" -k 3,3 -o "$HERE/lines" "$HERE/lines"
    while IFS=$TAB read -r path member sha256 url; do
        [ ! -x "$ROOT$path" ] || continue
        if [ "$have" != "$sha256" ]; then
            have=''
            fetch "$url" "$part" || { fault "$url cannot be fetched" && continue; }
            found=$(sha256sum "$part" | cut -d ' ' -f 1)
            [ "$found" = "$sha256" ] || { fault "$url has digest $found, artifacts.lock says $sha256" && continue; }
            have=$sha256
        fi
        next=$ROOT$path.slipway
        mkdir -p -- "$(dirname "$next")"
        if [ "$member" = - ]; then cp -- "$part" "$next"; else tar -xOf "$part" -- "$member" >"$next" 2>/dev/null || tar -xOf "$part" -- "./$member" >"$next"; fi &&
            chmod 0755 "$next" && label "$next" && sync "$next" && mv -fT -- "$next" "$ROOT$path" || {
            rm -f -- "$next"
            fault "$path cannot be put in place"
        }
    done <"$HERE/lines"
    rm -f -- "$part"
}

fetch() {
    if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --retry 5 --connect-timeout 20 --output "$2" -- "$1" </dev/null
    elif command -v wget >/dev/null; then
        wget --quiet --tries=5 --timeout=20 --output-document="$2" -- "$1" </dev/null
    else
        fault "neither curl nor wget is installed, and artifacts.fetch is host"
        return 1
    fi
}

units() {
    while read -r unit; do
        [ "${1#try-}" = "$1" ] || systemctl --quiet is-active "$unit" </dev/null || continue
        systemctl --quiet "$1" "$unit" </dev/null || fault "systemctl $1 $unit failed; see journalctl -u $unit"
    done <"$HERE/lines"
}

# By this a preflight before the first apply knows that what it finds here is ours.
(umask 077 && mkdir -p "$STATE" && : >"$STATE/first-boot") || fault "$STATE cannot be written"
absent=$NL
lines_of - absent
while read -r key; do
    absent=$absent$key$NL
    case $key in /*) [ -d "$ROOT$key" ] && [ ! -L "$ROOT$key" ] || rm -f -- "$ROOT$key" ;; esac
done <"$HERE/lines"
systemctl daemon-reload || fault "systemctl daemon-reload failed"
for phase in "$@"; do
    lines_of "$phase" package && packages
    lines_of "$phase" user && users
    lines_of "$phase" directory && directories
    lines_of "$phase" file && file_owners
    lines_of "$phase" link && links
    lines_of "$phase" fetch && fetches
    lines_of "$phase" restart && units try-restart
    # A mount that is restarted is unmounted in between.
    lines_of "$phase" reload && units try-reload-or-restart
    lines_of "$phase" enable && units enable
    lines_of "$phase" start && units start
done
rm -f "$HERE/lines"
if [ "$faults" != 0 ]; then
    printf 'slipway: %s of the first steps failed; mend that, or let `invoke apply` do them\n' "$faults" >&2
    exit 1
fi
