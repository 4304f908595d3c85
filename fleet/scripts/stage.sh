# Take a generation in: a compressed tar with `manifest`, `sums` and blobs/ arrives on standard input. $1 is its digest.
# Nothing that runs reads this folder. The manifest comes last, so a generation with one is whole.
make_state
umask 077
digest=$1
# A part of its own, whose name no pattern here reads: what works on this host at this moment is not touched.
incoming=$STATE/staged/.incoming.$$
# A full disk gets back at once what did not fit.
trap 'rm -rf -- "$incoming"' EXIT
# A word to a run that is gone must not end this before it has tidied up.
trap '' PIPE
mkdir -p "$incoming/blobs" || fail "$incoming cannot be made"
tar -xzf - --no-same-owner -C "$incoming" || fail "what arrives cannot be unpacked in $STATE/staged"
(cd "$incoming" && sha256sum --check --status --strict sums) || fail "what arrived has another digest than what was sent"
wait_for_another
trap 'rm -rf -- "$incoming"; leave_place' EXIT
mkdir -p "$STATE/staged/$digest/blobs" || fail "$STATE/staged/$digest cannot be made"
set +f
for other in "$STATE/staged"/*; do
    case $other in "$STATE/staged/$digest" | "$STATE/staged/*") continue ;; esac
    # A run on the way there may have been killed: its list says where something of it may still lie (see `record`).
    if [ -f "$other/manifest" ]; then
        mkdir -p "$STATE/left" && mv -f "$other/manifest" "$STATE/left/${other##*/}" || fail "$STATE/left cannot be made"
    fi
    rm -rf "$other"
done
for blob in "$incoming/blobs"/*; do
    [ ! -f "$blob" ] || mv -f "$blob" "$STATE/staged/$digest/blobs/" || fail "$blob cannot be moved"
done
sync
mv -f "$incoming/manifest" "$STATE/staged/$digest/manifest" || fail "the manifest cannot be put in place"
say staged "$digest"
say end
