#!/bin/sh
# A data disk: prepare DEVICE FILE-SYSTEM MOUNT LABEL, and folders MOUNT LABEL NAME=TARGET...
#
# prepare makes a file system on a disk that holds nothing at all, and on no other. It never wipes, resizes or unmounts.
# A disk is known as prepared by kind and label of its file system; nothing else is recorded. folders makes the folders
# on the mounted disk that are bound to TARGETs, and refuses where a bind would hide what lies at a TARGET.
#
# Each leaves a mark below /run, without which systemd does not mount (AssertPathExists=): a failure here means that
# nothing is mounted, and what needs the mount does not start.
set -eu

marks=/run/slipway-disks
patience=60

fail() {
    echo "$1" >&2
    exit 1
}

# The device number ("8:16") of what is mounted at $1, empty where it is no mount point. The last mount is what is seen.
mounted_at() {
    mounted=''
    while read -r _ _ number _ point _; do
        [ "$point" != "$1" ] || mounted=$number
    done </proc/self/mountinfo
    printf '%s' "$mounted"
}

# Where the device number $1 is mounted, one folder on a line.
mounts_of() {
    while read -r _ _ number _ point _; do
        [ "$number" != "$1" ] || echo "$point"
    done </proc/self/mountinfo
}

# What of a file system or of anything else lies on $disk, by the name $1 of blkid, empty without. Never from a cache.
probed() {
    blkid -p -s "$1" -o value "$disk" 2>/dev/null || true
}

is_empty_folder() {
    [ ! -e "$1" ] || [ -z "$(ls -A "$1")" ]
}

# Whether $disk was prepared: it has the kind $wanted and the label $ours.
is_ours() {
    [ "$(probed TYPE)/$(probed LABEL)" = "$wanted/$ours" ]
}

# Every reason not to write to $disk, one on a line; nothing for a disk that is empty and used by nobody.
against() {
    mounts_of "$number" | while read -r point; do echo "it is mounted at $point"; done
    while read -r swap _; do
        [ "$(readlink -f "$swap")" != "$disk" ] || echo "it is swap in use"
    done </proc/swaps
    # The disk itself is the first line; partitions, LVM, md and multipath on it are further ones.
    lsblk -nro NAME,TYPE "$disk" | tail -n +2 | while read -r name type; do echo "$name ($type) lies on it"; done
    for holder in /sys/dev/block/"$number"/holders/*; do
        [ ! -e "$holder" ] || echo "${holder##*/} uses it"
    done
    [ "$(blockdev --getro "$disk")" = 0 ] || echo "it is read-only"
    table=$(probed PTTYPE)
    [ -z "$table" ] || echo "it has a partition table ($table)"
    kind=$(probed TYPE)
    beginning=$(blockdev --getsize64 "$disk")
    [ "$beginning" -le 4194304 ] || beginning=4194304
    if [ -n "$kind" ]; then
        label=$(probed LABEL)
        echo "it holds $kind${label:+ with the label $label}"
    elif ! signatures=$(wipefs --no-act "$disk"); then
        echo "wipefs cannot read it"
    elif [ -n "$signatures" ]; then
        echo "wipefs finds a signature on it"
    elif [ "$(head -c 4194304 "$disk" | wc -c)" -ne "$beginning" ]; then
        # A disk that fails shows nothing either, and may hold everything.
        echo "its first 4 MiB cannot be read; see the kernel's messages in \`dmesg\`"
    elif [ "$(head -c 4194304 "$disk" | tr -d '\000' | wc -c)" -gt 0 ]; then
        echo "its first 4 MiB are not empty, so somebody may use it without a file system"
    fi
}

prepare() {
    device=$1 wanted=$2 mount=$3 ours=$4 mark=$marks/$4
    mkdir -p "$marks"
    rm -f "$mark"
    waited=0
    until [ -b "$device" ]; do
        [ "$waited" -lt "$patience" ] ||
            fail "$device is not there after $patience s; see \`ls -l ${device%/*}\`, and name the disk in the spec as it is called there"
        sleep 1
        waited=$((waited + 1))
    done
    disk=$(readlink -f "$device")
    number=$(lsblk -dnro MAJ:MIN "$disk")
    there=$(mounted_at "$mount")
    if [ -n "$there" ]; then
        [ "$there" = "$number" ] ||
            fail "$mount is mounted already, from device $there and not from $disk ($device, $number); copy what it holds to the new disk, unmount it, and start this unit again"
        # A change in the spec is refused now and not when the host boots next.
        is_ours || fail "$mount is mounted from $disk, which holds $(probed TYPE) with the label '$(probed LABEL)', and the spec wants $wanted with the label $ours. Take the change back; or, to keep what is there, let the spec name its kind, give it the label (\`e2label\`, or \`xfs_admin -L\` while it is unmounted), and start this unit again"
        : >"$mark"
        return
    fi
    is_empty_folder "$mount" ||
        fail "$mount is a folder with something in it, which the mount would hide; move that away and start this unit again"
    if ! is_ours; then
        found=$(against)
        if [ -n "$found" ]; then
            echo "$found" | while read -r reason; do echo "$device ($disk) is not touched: $reason" >&2; done
            fail "it is no disk of ours ($wanted with the label $ours) and not empty. Name another disk in the spec, or, if nothing on this one is needed, take it out of use, \`wipefs --all $disk\`, \`dd if=/dev/zero of=$disk bs=1M count=4\`, and start this unit again"
        fi
        echo "$device ($disk) is empty and gets $wanted with the label $ours"
        # Neither is told to force anything: both look once more, and xfs stops where it finds something.
        case $wanted in
            xfs) mkfs.xfs -q -L "$ours" "$disk" ;;
            ext4) mkfs.ext4 -q -L "$ours" "$disk" </dev/null ;;
            *) fail "$wanted is no file system that is made here" ;;
        esac
        sync "$disk"
        is_ours || fail "$disk does not show the new file system; see the kernel's messages in \`dmesg\`"
    fi
    : >"$mark"
}

folders() {
    mount=$1 mark=$marks/$2-folders
    shift 2
    mkdir -p "$marks"
    rm -f "$mark"
    [ -n "$(mounted_at "$mount")" ] || fail "$mount is not mounted; see \`systemctl status '$mount'\`"
    hidden=''
    for pair; do
        name=${pair%%=*} target=${pair#*=}
        if [ -z "$(mounted_at "$target")" ] && ! is_empty_folder "$target"; then
            hidden=yes
            echo "$target holds something, which $mount/$name would hide: stop what uses it (drain the node first), \`cp -a $target/. $mount/$name/\`, move $target away, and run the apply again" >&2
        fi
    done
    [ -z "$hidden" ] || exit 1
    for pair; do mkdir -p "$mount/${pair%%=*}"; done
    : >"$mark"
}

case ${1-} in
    prepare | folders)
        verb=$1
        shift
        "$verb" "$@"
        ;;
    *) fail "usage: data-disk prepare DEVICE FILE-SYSTEM MOUNT LABEL | folders MOUNT LABEL NAME=TARGET..." ;;
esac
