#!/bin/sh
# What sshd accepts: load the wanted drop-in, confirm it, restore what was before, remove it. Nothing but that one file of
# sshd is ever touched. SLIPWAY_SSH_LOGIN is who Slipway logs in as.
#
# A drop-in that has not been confirmed on this host has a timer behind it, which brings the one before back, or none where
# there was none. So settings that lock the operator out last for as long as the timer runs.
set -eu

wanted=/etc/slipway/sshd.conf
drop_in=/etc/ssh/sshd_config.d/00-slipway.conf
kept=/var/lib/slipway/ssh-hardening
timer=slipway-ssh-hardening-restore.timer
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "$1" >&2
    exit 1
}

same() { [ -f "$1" ] && [ -f "$2" ] && cmp -s -- "$1" "$2"; }

# Put the file $1 at $2 in one step; the name in between is none that sshd includes.
put() {
    next=${2%/*}/.${2##*/}.new
    mkdir -p -- "${2%/*}"
    (umask 077 && cat -- "$1" >"$next")
    sync -- "$next"
    mv -fT -- "$next" "$2"
    if command -v restorecon >/dev/null; then restorecon "$2" || true; fi
}

put_back() {
    if [ -f "$kept/before" ]; then put "$kept/before" "$drop_in"; else rm -f -- "$drop_in"; fi
}

# Where sshd is started by a socket it reads its settings anew for every connection.
reload_sshd() {
    for unit in ssh.service sshd.service; do
        if systemctl --quiet is-active "$unit"; then
            systemctl reload "$unit"
            return
        fi
    done
}

setting() {
    printf '%s\n' "$effective" | while read -r name value; do
        if [ "$name" = "$1" ]; then
            printf '%s' "$value"
            return
        fi
    done
}

# Whether the login can get in with a key at all. What a program or a CA says cannot be seen from here.
has_key() {
    case $(setting authorizedkeyscommand) in '' | none) ;; *) return 0 ;; esac
    case $(setting trustedusercakeys) in '' | none) ;; *) return 0 ;; esac
    entry=$(getent passwd "$SLIPWAY_SSH_LOGIN") || return 1
    home=${entry%:*}
    home=${home##*:}
    for file in $(setting authorizedkeysfile); do
        case $file in
        %h/*) file=$home/${file#%h/} ;;
        */%u) file=${file%"%u"}$SLIPWAY_SSH_LOGIN ;;
        /*) ;;
        *) file=$home/$file ;;
        esac
        [ ! -s "$file" ] || return 0
    done
    return 1
}

# Whether one of the names of the setting $1, such as allowusers, stands for one of the words in $2. What follows an @ says
# from where somebody may come, and is taken to hold.
named() {
    printf '%s\n' "$effective" | (
        set -f
        while read -r name value; do
            [ "$name" = "$1" ] || continue
            for pattern in $value; do
                for word in $2; do
                    # shellcheck disable=SC2254
                    case $word in ${pattern%@*}) exit 0 ;; esac
                done
            done
        done
        exit 1
    )
}

# Why sshd would turn the login away by its name: a line that somebody wrote and has not loaded yet would come with ours.
turned_away() {
    groups=$(id -Gn -- "$SLIPWAY_SSH_LOGIN" 2>/dev/null) || groups=''
    if named denyusers "$SLIPWAY_SSH_LOGIN"; then
        echo DenyUsers
    elif named denygroups "$groups"; then
        echo DenyGroups
    elif [ -n "$(setting allowusers)" ] && ! named allowusers "$SLIPWAY_SSH_LOGIN"; then
        echo AllowUsers
    elif [ -n "$(setting allowgroups)" ] && ! named allowgroups "$groups"; then
        echo AllowGroups
    else
        return 1
    fi
}

# Why the settings as they are now must not be loaded; the exit status says whether there is a reason.
objection() {
    words=$(sshd -t 2>&1) || {
        echo "sshd does not take them: $words"
        return 0
    }
    effective=$(sshd -T -C "user=$SLIPWAY_SSH_LOGIN,host=localhost,addr=127.0.0.1" 2>&1) || {
        echo "sshd cannot say what they come to: $effective"
        return 0
    }
    if [ "$(setting passwordauthentication)" != no ] || [ "$(setting kbdinteractiveauthentication)" = yes ] ||
        [ "$(setting permitrootlogin)" = yes ]; then
        echo "sshd does not read $drop_in, or something before it; put the line 'Include /etc/ssh/sshd_config.d/*.conf' on top of /etc/ssh/sshd_config"
    elif [ "$(setting pubkeyauthentication)" != yes ]; then
        echo "sshd takes no keys with them; look for PubkeyAuthentication in /etc/ssh"
    elif [ "$SLIPWAY_SSH_LOGIN" = root ] && [ "$(setting permitrootlogin)" = no ]; then
        echo "sshd does not let root in, as whom Slipway enters; look for PermitRootLogin in /etc/ssh"
    elif key=$(turned_away); then
        echo "$key in sshd's settings does not let $SLIPWAY_SSH_LOGIN in, as whom Slipway enters; look for $key in /etc/ssh"
    elif ! has_key; then
        echo "$SLIPWAY_SSH_LOGIN has no key on this host and would not get in; run \`invoke hosts.authorize\` first"
    else
        return 1
    fi
}

load() {
    if same "$wanted" "$drop_in" && same "$wanted" "$kept/confirmed"; then
        systemctl --no-block stop "$timer"
        return 0
    fi
    mkdir -p -- "$kept"
    chmod 0700 "$kept"
    if [ ! -f "$drop_in" ]; then
        rm -f -- "$kept/before"
    elif same "$drop_in" "$kept/confirmed"; then
        put "$drop_in" "$kept/before"
    fi
    put "$wanted" "$drop_in"
    if reason=$(objection); then
        put_back
        fail "nothing was changed: $reason"
    fi
    # First, so that a kill between the two leaves no change without its end.
    systemctl --no-block restart "$timer"
    reload_sshd
    echo "loaded; taken back by itself unless slipway-ssh-hardening-confirm.service is started in time" >&2
}

confirm() {
    same "$wanted" "$drop_in" ||
        fail "$drop_in is not what lies in $wanted; run \`systemctl reload-or-restart slipway-ssh-hardening\`, then confirm that"
    put "$drop_in" "$kept/confirmed"
    systemctl stop "$timer"
}

restore() {
    put_back
    sshd -t || rm -f -- "$drop_in"
    reload_sshd
    echo "nobody confirmed the new settings of sshd, so those before are back; look at $wanted and run the apply again" >&2
}

remove() {
    rm -f -- "$drop_in"
    rm -rf -- "$kept"
    systemctl --no-block stop "$timer"
    reload_sshd
}

case ${1-} in
load | confirm | restore | remove) "$1" ;;
*)
    echo "usage: load | confirm | restore | remove" >&2
    exit 64
    ;;
esac
