#!/bin/sh
# Set SELinux to SLIPWAY_SELINUX, enforcing or permissive: in its file for every boot, and at once. One line of the file
# changes. Run as often as you like.
set -eu

file=/etc/selinux/config
if [ ! -f "$file" ]; then
    echo "$file is not there: install the package selinux-policy-targeted, relabel and reboot, or take selinux out of the spec" >&2
    exit 1
fi
next=/etc/selinux/.config.slipway-new
cp -p -- "$file" "$next"
found=''
while IFS= read -r line || [ -n "$line" ]; do
    case $line in
    SELINUX=*)
        [ -n "$found" ] || printf 'SELINUX=%s\n' "$SLIPWAY_SELINUX"
        found=yes
        ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$file" >"$next"
[ -n "$found" ] || printf 'SELINUX=%s\n' "$SLIPWAY_SELINUX" >>"$next"
if cmp -s "$next" "$file"; then
    rm -f -- "$next"
else
    sync -- "$next"
    mv -fT -- "$next" "$file"
    if command -v restorecon >/dev/null; then restorecon "$file" || true; fi
fi
case $(getenforce) in
Disabled)
    echo "SELinux is off in the running kernel: boot it as permissive, relabel with \`fixfiles -F onboot\`, reboot and run again" >&2
    exit 1
    ;;
Enforcing) [ "$SLIPWAY_SELINUX" = enforcing ] || setenforce 0 ;;
Permissive) [ "$SLIPWAY_SELINUX" = permissive ] || setenforce 1 ;;
esac
