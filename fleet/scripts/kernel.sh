# Which kernel runs here and which are installed, for the scripts that say so.

# kernel RUNNING BOOT INSTALLED…: of those that are installed, oldest first, only what can be booted is named.
say_kernel() {
    boot=''
    [ ! -r "$ROOT/proc/sys/kernel/random/boot_id" ] || IFS= read -r boot <"$ROOT/proc/sys/kernel/random/boot_id"
    set +f
    # A name that holds anything else than a release may is none, and would be cut in two here.
    installed=$(
        for modules in "$ROOT/lib/modules"/*; do
            release=${modules##*/}
            case $release in *[!A-Za-z0-9._+~-]*) continue ;; esac
            if [ -e "$ROOT/boot/vmlinuz-$release" ] || [ -e "$modules/vmlinuz" ]; then printf '%s\n' "$release"; fi
        done | sort -V
    )
    set -f
    between=$IFS
    IFS=$NL
    set -- $installed
    IFS=$between
    say kernel "$(uname -r)" "${boot:--}" "$@"
}
