# The kubeconfig with which a kubelet joins, in memory only (/run). $1: write PATH (content on standard input, then end) |
# delete PATH
case $1 in
write)
    take_order
    mkdir -p "$ROOT${2%/*}" && chmod 0700 "$ROOT${2%/*}" || fail "${2%/*} cannot be made"
    printf '%s' "$order" | cat >"$ROOT$2.new" && mv -f "$ROOT$2.new" "$ROOT$2" || fail "$2 cannot be written"
    ;;
delete) rm -f "$ROOT$2" "$ROOT$2.new" ;;
*) fail "the order is not understood: $1" ;;
esac
say end
