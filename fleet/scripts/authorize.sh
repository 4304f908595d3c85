# Let a key open the login that runs this: one line in its authorized_keys, beside all that is there.
# Input: the key as one line, "type base64 comment". Answer: present, or written.
IFS= read -r key || fail "no key came"
rest=${key#* }
wanted="${key%% *} ${rest%% *}"
if [ -z "${HOME:-}" ] || [ ! -d "$ROOT$HOME" ]; then
    fail "the login has no home folder (${HOME:-none is set}), and so no authorized_keys"
fi
folder=$ROOT$HOME/.ssh
file=$folder/authorized_keys
[ -d "$folder" ] || mkdir -- "$folder" || fail "$folder cannot be made"
chmod 0700 -- "$folder" || fail "$folder: its mode cannot be set"
if [ -L "$file" ]; then
    file=$(readlink -f -- "$file") || fail "$folder/authorized_keys is a link that leads nowhere; take it away"
fi
found=''
if [ -e "$file" ]; then
    if [ ! -f "$file" ] || [ ! -r "$file" ]; then fail "$file is no file that can be read; look at it"; fi
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line#"${line%%[! "$TAB"]*}"}
        case "$line " in
        '#'*) ;;
        "$wanted "*) found=yes ;;
        *" $wanted "*) fail "$file names this key with options, and sshd goes by that line; take the line out" ;;
        esac
    done <"$file"
fi
if [ -z "$found" ]; then
    next=$(sibling "$file")
    { [ ! -e "$file" ] || cat -- "$file"; } >"$next" || { rm -f -- "$next"; fail "$next cannot be written"; }
    # A last line without an end would swallow the key.
    [ ! -s "$next" ] || [ -z "$(tail -c 1 -- "$next")" ] || printf '\n' >>"$next"
    { printf '%s\n' "$key" >>"$next" && chmod 0600 -- "$next" && sync -- "$next"; } ||
        { rm -f -- "$next"; fail "$next cannot be written"; }
    mv -fT -- "$next" "$file" || fail "$file cannot be put in place"
else
    chmod 0600 -- "$file" || fail "$file: its mode cannot be set"
fi
if command -v restorecon >/dev/null; then restorecon -- "$folder" "$file" >/dev/null 2>&1 || :; fi
if [ -n "$found" ]; then say present; else say written; fi
say end
