#!/bin/sh
# Keep a block of ours between two marks in a file of somebody else; every other line of it stays as it is.
# Usage: put FILE FRAGMENT [SECTION] | take-out FILE
# The block goes to the end of the file, or of the section [SECTION] of an INI file. Run as often as you like.
set -eu

begin='# BEGIN slipway: cluster.yaml sets these lines'
end='# END slipway'

verb=${1-} file=$(readlink -f -- "${2-}")
fragment=${3-} section=${4-}
case $verb in
put) [ -r "$fragment" ] || { echo "$fragment cannot be read" >&2; exit 66; } ;;
take-out) [ -f "$file" ] || exit 0 ;;
*)
    echo "usage: put FILE FRAGMENT [SECTION] | take-out FILE" >&2
    exit 64
    ;;
esac
next=${file%/*}/.${file##*/}.slipway-new

block() {
    printf '%s\n' "$begin"
    cat -- "$fragment"
    printf '%s\n' "$end"
}

# Write the file anew, without an old block and with the new one.
rewritten() {
    ours='' inside='' placed=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        "$begin")
            ours=yes
            continue
            ;;
        "$end")
            if [ -n "$ours" ]; then
                ours=''
                continue
            fi
            ;;
        esac
        [ -z "$ours" ] || continue
        case $line in
        '['*)
            if [ -n "$inside" ] && [ "$verb" = put ]; then
                block
                placed=yes
            fi
            inside=''
            [ -z "$section" ] || [ "$line" != "[$section]" ] || inside=yes
            ;;
        esac
        printf '%s\n' "$line"
    done
    if [ -n "$ours" ]; then
        echo "$file has the line '$begin' without '$end' after it; put that right by hand" >&2
        return 1
    fi
    [ "$verb" = put ] && [ -z "$placed" ] || return 0
    if [ -n "$section" ] && [ -z "$inside" ]; then
        printf '%s\n[%s]\n' "$begin" "$section"
        cat -- "$fragment"
        printf '%s\n' "$end"
    else
        block
    fi
}

rm -f -- "$next"
if [ -f "$file" ]; then
    # Owner, mode and label stay.
    cp -p -- "$file" "$next"
    rewritten <"$file" >"$next" || {
        rm -f -- "$next"
        exit 1
    }
else
    umask 022
    rewritten </dev/null >"$next"
fi
if [ -f "$file" ] && cmp -s -- "$next" "$file"; then
    rm -f -- "$next"
    exit 0
fi
sync -- "$next"
mv -fT -- "$next" "$file"
if command -v restorecon >/dev/null; then restorecon "$file" || true; fi
