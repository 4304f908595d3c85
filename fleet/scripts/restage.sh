# Stage a generation that this host has had, from the copies that it has kept: nothing is sent, no secret leaves the host.
# $1: check (say what is lost, write nothing) | stage, $2: the digest of the generation.
make_state
umask 077
digest=$2 work=$STATE/restage.$$
if [ "$1" = stage ]; then
    trap '' PIPE
    wait_for_another
fi
trap 'rm -f -- "$work"; leave_place' EXIT
kept=$STATE/previous/$digest manifest=$STATE/previous/$digest/manifest records=$STATE/previous/$digest/installed
[ -f "$manifest" ] || manifest=$STATE/manifest
[ -f "$records" ] || records=$STATE/installed
[ -f "$manifest" ] && [ -f "$records" ] || fail "what generation $digest was is not kept"
into=$STATE/staged/$digest
[ "$1" = check ] || mkdir -p "$into/blobs" || fail "$into cannot be made"
# Each item of the generation beside the record of what was installed for it: kind key id blob digest recorded-id.
sort -s -t "$TAB" -k 2,2 "$manifest" |
    join -t "$TAB" -1 2 -2 1 -a 1 -e - -o 1.1,0,1.8,1.9,2.5,2.9 - "$records" >"$work" || fail "$work cannot be written"
is_whole() { [ -f "$1" ] && [ ! -L "$1" ] && [ "$(sum_of "$1")" = "$sum" ]; }
lost=''
while IFS=$TAB read -r kind key id blob sum recorded_id; do
    # The word for a plain file's content is its digest; a secret's digest is known from the record alone.
    case $kind in
    file) sum=$id ;;
    secret) [ "$recorded_id" = "$id" ] || sum=unknown ;;
    *) continue ;;
    esac
    if is_whole "$kept/files$key"; then
        from=$kept/files$key
    elif is_whole "$ROOT$key"; then
        from=$ROOT$key
    else
        reason='no copy of it is kept'
        [ ! -e "$kept/files$key" ] || reason='somebody else had changed it before, and only that copy is kept'
        say lost "$key" "$reason"
        lost=yes
        continue
    fi
    [ "$1" != check ] || continue
    cp -- "$from" "$into/blobs/.new" && is_whole "$into/blobs/.new" && mv -f -- "$into/blobs/.new" "$into/blobs/$blob" ||
        fail "$key cannot be staged"
done <"$work"
if [ "$1" = stage ]; then
    [ -z "$lost" ] || fail "generation $digest cannot be staged whole"
    # The manifest comes last, so a generation with one is whole.
    cp -- "$manifest" "$into/manifest.new" && sync && mv -f "$into/manifest.new" "$into/manifest" ||
        fail "the manifest cannot be staged"
fi
say end
