# Put one artifact into its version folder, which nothing uses yet.
# $1 sha256, $2 URL ("-": the bytes follow on standard input), then for each file: path, member ("-": the artifact itself),
# component. Archives are unpacked only after their digest has been proved.
make_state
sha256=$1 url=$2
shift 2
mkdir -p "$STATE/artifacts" || fail "$STATE/artifacts cannot be made"
# Two runs may fetch the same artifact; each has a part of its own, gone when its script ends. What a killed one left goes
# after a day.
part=$STATE/artifacts/$sha256.$$ day=$STATE/artifacts/.day.$$
trap 'rm -f -- "$part" "$day"' EXIT
# A word to a run that is gone must not end this before it has tidied up.
trap '' PIPE
if touch -d '1 day ago' "$day"; then
    set +f
    for other in "$STATE/artifacts"/*; do
        [ ! -f "$other" ] || [ ! "$other" -ot "$day" ] || rm -f -- "$other"
    done
    set -f
fi
if [ "$url" = - ]; then
    cat >"$part" || fail "$part cannot be written"
elif command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 --output "$part" -- "$url" </dev/null ||
        fail "$url cannot be fetched"
elif command -v wget >/dev/null; then
    wget --quiet --tries=3 --timeout=20 --output-document="$part" -- "$url" </dev/null || fail "$url cannot be fetched"
else
    fail "neither curl nor wget is installed, and artifacts.fetch is host"
fi
found=$(sum_of "$part")
if [ "$found" != "$sha256" ]; then
    [ "$url" != - ] || url='the artifact that was sent'
    fail "$url has digest $found, artifacts.lock says $sha256; find out which is right"
fi
wait_for_another
trap 'rm -f -- "$part" "$day"; leave_place' EXIT
records=$STATE/installed.binaries.$$
: >"$records"
while [ $# -ge 3 ]; do
    path=$1 member=$2 component=$3
    shift 3
    waiting=$(sibling "$ROOT$path")
    (umask 022 && mkdir -p "${waiting%/*}") || fail "${path%/*} cannot be made"
    rm -f -- "$waiting"
    proved=''
    if [ "$member" = - ]; then
        # On one file system the very bytes whose digest was proved: executables are large, each is written and read once.
        ln -- "$part" "$waiting" 2>/dev/null ||
            { cp -- "$part" "$waiting" && [ "$(sum_of "$waiting")" = "$sha256" ]; } || {
            rm -f "$waiting"
            fail "$path cannot be written"
        }
        proved=$sha256
    else
        tar -xOf "$part" -- "$member" >"$waiting" 2>/dev/null || tar -xOf "$part" -- "./$member" >"$waiting" || {
            rm -f "$waiting"
            fail "the archive has no member $member that can be unpacked to $path"
        }
    fi
    chown 0:0 "$waiting" && chmod 0755 "$waiting" || fail "$path cannot be given its mode"
    label "$waiting" "$path"
    sync "$waiting" || fail "$path cannot be flushed to disk"
    mv -fT "$waiting" "$ROOT$path" || fail "$path cannot be put in place"
    # The digest of a member is read from what lies there now, whatever was meant to.
    record_line "$path" binary binaries "$component" "$sha256" - - "$proved" >>"$records" ||
        fail "the records cannot be written"
    say changed "$path"
done
keep_records "$records"
say end
