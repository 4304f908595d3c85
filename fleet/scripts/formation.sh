# The first formation of a cluster of members. $1: prepare UNIT | finish UNIT
# The drop-in lies in /run: a reboot or a second run finds the unit as it was reviewed.
folder=$ROOT/run/systemd/system/$2.d
case $1 in
prepare)
    umask 022
    mkdir -p "$folder" || fail "$folder cannot be made"
    printf '[Unit]\nAssertPathExists=\n\n[Service]\nEnvironment=ETCD_INITIAL_CLUSTER_STATE=new\n' >"$folder/50-slipway-formation.conf" ||
        fail "$folder cannot be written"
    ;;
finish)
    rm -f "$folder/50-slipway-formation.conf"
    rmdir --ignore-fail-on-non-empty "$folder" 2>/dev/null
    ;;
*) fail "the order is not understood: $1" ;;
esac
systemctl daemon-reload </dev/null || fail "systemctl daemon-reload failed"
say end
