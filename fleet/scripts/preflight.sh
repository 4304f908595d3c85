# Can this host become part of the cluster? Reads and changes nothing; what cannot be told is left out of the answer.
# Input: program P | folder P | module M | service U | name N | remains PATTERN | url U | gpu VENDOR
programs='' folders='' modules='' services='' names='' remains='' urls='' gpus=''
asked=$(cat)
IFS=$NL
for line in $asked; do
    value=${line#*"$TAB"}
    case ${line%%"$TAB"*} in
    program) programs=$programs$value$NL ;;
    folder) folders=$folders$value$NL ;;
    module) modules=$modules$value$NL ;;
    service) services=$services$value$NL ;;
    name) names=$names$value$NL ;;
    remains) remains=$remains$value$NL ;;
    url) urls=$urls$value$NL ;;
    gpu) gpus=$gpus$value$NL ;;
    *) fail "the question is not understood: $line" ;;
    esac
done

# The first line of the file $2, as the fact $1. Not by `read`, which takes a byte at a time: /proc/sys gives numbers in
# one piece or cut off.
say_first() {
    value=''
    [ ! -r "$ROOT$2" ] || value=$(head -n 1 -- "$ROOT$2" 2>/dev/null)
    [ -z "$value" ] || say "$1" "$value"
}

# Free room and free inodes where the folder $1 lies, or will lie.
say_disk() {
    path=$1
    while [ -n "$path" ] && [ ! -e "$ROOT$path" ]; do path=${path%/*}; done
    IFS=" $TAB"
    df -kP -- "$ROOT${path:-/}" 2>/dev/null | {
        read -r _
        read -r _ _ _ free _ mount && say disk "$1" "$free" "$mount"
    }
    df -iP -- "$ROOT${path:-/}" 2>/dev/null | {
        read -r _
        read -r _ total _ free _ && case $total in '' | 0 | *[!0-9]*) ;; *) say inodes "$1" "$free" ;; esac
    }
    IFS=$NL
}

# Whether the kernel has the module $1: in it, loaded, or in the folder of modules.
say_module() {
    case $1 in
    overlay) case $NL$filesystems$NL in *"${TAB}overlay$NL"*) return 0 ;; esac ;;
    br_netfilter) [ ! -e "$ROOT/proc/sys/net/bridge" ] || return 0 ;;
    nf_conntrack) [ ! -e "$ROOT/proc/sys/net/netfilter" ] || return 0 ;;
    esac
    [ ! -e "$ROOT/sys/module/$1" ] || return 0
    case $known_modules in
    '') say module "$1" unknown ;;
    *"/$1.ko"*) ;;
    *) say module "$1" missing ;;
    esac
}

# How many graphics cards of the vendor $1 are on the PCI bus, and what its driver says of itself.
say_gpu() {
    [ "$1" = nvidia ] && [ -d "$ROOT/sys/bus/pci/devices" ] || return 0
    number=0
    set +f
    for card in "$ROOT"/sys/bus/pci/devices/*; do
        if [ ! -r "$card/vendor" ] || [ ! -r "$card/class" ]; then continue; fi
        read -r maker <"$card/vendor"
        read -r class <"$card/class"
        # Base class 03 is display controllers, with those that have no display among them (PCI Code and ID Assignment).
        case $maker:$class in 0x10de:0x03*) number=$((number + 1)) ;; esac
    done
    set -f
    say gpus "$number"
    say_first gpu-driver /proc/driver/nvidia/version
}

say slipway 1
say time "$(date +%s)"
say arch "$(uname -m)"
say_os
say_first hostname /proc/sys/kernel/hostname
hostname=$value
say_first kernel /proc/sys/kernel/osrelease
kernel=$value
say_first machine-id /etc/machine-id
# In a container this is the machine's number, which all containers there share.
[ -e "$ROOT/run/systemd/container" ] || say_first product-uuid /sys/class/dmi/id/product_uuid
say_first cpus /sys/devices/system/cpu/online
say_first selinux /sys/fs/selinux/enforce
say_first instances /proc/sys/fs/inotify/max_user_instances
say_first watches /proc/sys/fs/inotify/max_user_watches
if [ -e "$ROOT/sys/fs/cgroup/cgroup.controllers" ]; then
    say cgroup 2
elif [ -d "$ROOT/sys/fs/cgroup/memory" ] || [ -d "$ROOT/sys/fs/cgroup/unified" ]; then
    say cgroup 1
fi
if [ -r "$ROOT/proc/meminfo" ]; then
    while IFS=" $TAB" read -r name value _; do
        if [ "$name" = MemTotal: ]; then
            say memory "$value"
            break
        fi
    done <"$ROOT/proc/meminfo"
fi
if [ -r "$ROOT/proc/swaps" ]; then
    while IFS=" $TAB" read -r name _; do
        [ "$name" = Filename ] || say swap "$name"
    done <"$ROOT/proc/swaps"
fi
if [ -r "$ROOT/proc/mounts" ]; then
    # Nodes have a line for each pod, so all at once, and not by `read`, which takes its input byte by byte.
    for line in $(cat "$ROOT/proc/mounts"); do
        IFS=' '
        set -- $line
        case ,${4-}, in *,ro,*) say readonly "$2" ;; esac
        IFS=$NL
    done
fi
for path in $folders; do say_disk "$path"; done

zone=$(readlink -- "$ROOT/etc/localtime")
case $zone in
*/zoneinfo/*) say timezone "${zone##*/zoneinfo/}" ;;
*) if [ -e "$ROOT/etc/timezone" ]; then say_first timezone /etc/timezone; else [ -e "$ROOT/etc/localtime" ] || say timezone UTC; fi ;;
esac

for name in $programs; do command -v "$name" >/dev/null || say missing "$name"; done
if [ -n "$services" ] && command -v systemctl >/dev/null; then
    IFS=$NL
    states=$(systemctl is-active -- $services 2>/dev/null)
    set -- $services
    for state in $states; do
        [ "$state" != active ] || say active "$1"
        [ $# -eq 0 ] || shift
    done
fi
if [ -r "$ROOT/etc/ufw/ufw.conf" ]; then
    while IFS= read -r line; do [ "$line" != ENABLED=yes ] || say ufw yes; done <"$ROOT/etc/ufw/ufw.conf"
fi

filesystems=$(cat "$ROOT/proc/filesystems" 2>/dev/null)
known_modules=$(cat "$ROOT/lib/modules/$kernel/modules.builtin" "$ROOT/lib/modules/$kernel/modules.dep" 2>/dev/null)
for name in $modules; do say_module "$name"; done

for vendor in $gpus; do say_gpu "$vendor"; done

# The addresses of the host, from the kernel's own tables.
last=''
for line in $(cat "$ROOT/proc/net/fib_trie" 2>/dev/null); do
    case $line in
    *'|-- '*) last=${line##*'|-- '} ;;
    *'/32 host LOCAL'*) say address "$last" ;;
    esac
done
for line in $(cat "$ROOT/proc/net/if_inet6" 2>/dev/null); do say address6 "${line%% *}"; done
if [ -r "$ROOT/etc/resolv.conf" ]; then
    say resolver
    while IFS=" $TAB" read -r name value _; do [ "$name" != nameserver ] || say nameserver "$value"; done <"$ROOT/etc/resolv.conf"
fi
if [ -n "$hostname" ] && command -v getent >/dev/null; then
    if timeout 10 getent hosts "$hostname" >/dev/null 2>&1; then say resolves "$hostname" yes; else say resolves "$hostname" no; fi
fi
if command -v getent >/dev/null; then
    for name in $names; do timeout 10 getent hosts "$name" >/dev/null 2>&1 || say unresolved "$name"; done
fi
for url in $urls; do
    if command -v curl >/dev/null; then
        complaint=$(curl --head --silent --show-error --output /dev/null --connect-timeout 10 --max-time 15 -- "$url" 2>&1 </dev/null)
        status=$?
    elif command -v wget >/dev/null; then
        complaint=$(wget --quiet --spider --tries=1 --timeout=10 -- "$url" 2>&1 </dev/null)
        status=$?
        # It answered, with an error: the way there is open.
        [ "$status" != 8 ] || status=0
    else
        continue
    fi
    complaint=${complaint##*"$NL"}
    if [ "$status" = 0 ]; then say url "$url" -; else say url "$url" "${complaint:-exit status $status}"; fi
done

say_first generation /var/lib/slipway/generation
# A run is in the middle, or the host was made by our user-data and no apply has recorded that yet.
if [ -e "$STATE/underway" ] || { [ -z "$value" ] && [ -e "$STATE/first-boot" ]; }; then say underway; fi
if [ -r "$STATE/installed" ]; then
    for key in $(cut -f 1 "$STATE/installed"); do say own "$key"; done
fi
set +f
for pattern in $remains; do
    for path in "$ROOT"$pattern; do
        path=${path#"$ROOT"}
        case $path in *[[:cntrl:]]*) continue ;; esac
        [ ! -e "$ROOT$path" ] || say remains "$path"
    done
done
set -f
IFS=" $TAB$NL"
say_listeners
say end
