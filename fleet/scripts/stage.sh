# Take a generation in: a compressed tar with `manifest`, `sums` and blobs/ arrives on standard input. $1 is its digest.
# Nothing that runs reads this folder. The manifest comes last, so a generation with one is whole.
make_state
umask 077
digest=$1
mkdir -p "$STATE/staged" || fail "$STATE/staged cannot be made"
set +f
for other in "$STATE/staged"/*; do
    case $other in "$STATE/staged/$digest" | "$STATE/staged/*") continue ;; esac
    # A run on the way there may have been killed: its list says where something of it may still lie (see `record`).
    if [ -f "$other/manifest" ]; then
        mkdir -p "$STATE/left" && mv -f "$other/manifest" "$STATE/left/${other##*/}" || fail "$STATE/left cannot be made"
    fi
    rm -rf "$other"
done
set -f
incoming=$STATE/staged/$digest.incoming
# A full disk gets back at once what did not fit.
trap 'rm -rf -- "$incoming"' EXIT
mkdir -p "$incoming/blobs" "$STATE/staged/$digest/blobs" || fail "$incoming cannot be made"
tar -xzf - --no-same-owner -C "$incoming" || fail "what arrives cannot be unpacked in $STATE/staged"
(cd "$incoming" && sha256sum --check --status --strict sums) || fail "what arrived has another digest than what was sent"
set +f
for blob in "$incoming/blobs"/*; do
    [ ! -f "$blob" ] || mv -f "$blob" "$STATE/staged/$digest/blobs/" || fail "$blob cannot be moved"
done
sync
mv -f "$incoming/manifest" "$STATE/staged/$digest/manifest" || fail "the manifest cannot be put in place"
say staged "$digest"
say end
