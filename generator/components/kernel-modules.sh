#!/bin/sh
# Load the modules that stand in the file $1, one in a line. One that is loaded, or built into the kernel, is left alone.
set -u

status=0
while read -r module; do
    case $module in '' | '#'*) continue ;; esac
    # The kernel writes names with underscores.
    [ ! -d "/sys/module/$(printf '%s' "$module" | tr - _)" ] || continue
    modprobe -- "$module" || {
        echo "the kernel module $module cannot be loaded: this kernel has it not, or refuses it" >&2
        status=1
    }
done <"$1"
exit "$status"
