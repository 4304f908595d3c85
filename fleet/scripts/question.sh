# What do you have? Reads what to look at, changes nothing, answers in one go.
# Input: deep | kernel | path P | secret P | unit U | user U | package P | program P | exists P | certificate P | folder P | staged D
paths='' secrets=$NL units='' users='' packages='' programs='' existing='' certificates='' folders='' staged='' deep='' kernel=''
# `read` takes its input byte by byte, a system call for each; on a host with some hundred records that would be most of
# the time of an answer. So whole texts are read at once, here and below, and cut into lines and words by the shell.
asked=$(cat)
IFS=$NL
for line in $asked; do
    value=${line#*"$TAB"}
    case ${line%%"$TAB"*} in
    deep) deep=yes ;;
    kernel) kernel=yes ;;
    path) paths=$paths.$value$NL ;;
    secret) paths=$paths.$value$NL secrets=$secrets$value$NL ;;
    unit) units=$units$value$NL ;;
    user) users=$users$value$NL ;;
    package) packages=$packages$value$NL ;;
    program) programs=$programs$value$NL ;;
    exists) existing=$existing$value$NL ;;
    certificate) certificates=$certificates$value$NL ;;
    folder) folders=$folders$value$NL ;;
    staged) staged=$value ;;
    *) fail "the question is not understood: $line" ;;
    esac
done
say slipway 1
say time "$(date +%s)"
say arch "$(uname -m)"
say_os
[ -z "$kernel" ] || say_kernel
generation=''
if [ -r "$STATE/generation" ]; then
    IFS= read -r generation <"$STATE/generation" && say generation "$generation"
fi
[ ! -e "$STATE/underway" ] || say underway
if [ -r "$STATE/restore/step" ]; then
    IFS=' ' read -r id how <"$STATE/restore/step" && say restore "$id" "$how"
fi
# The binaries of the generation to which a rollback would lead after this one has come: they stay. Its manifest lies
# below previous/ as soon as the host has set out from it.
set +f
if [ "$generation" = "$staged" ]; then
    set -- "$STATE/previous"/*/manifest
else
    set -- "$STATE/previous/$generation/manifest"
    [ -r "$1" ] || set -- "$STATE/manifest"
fi
set -f
for kept; do
    [ -r "$kept" ] || continue
    while IFS=$TAB read -r kind key _; do [ "$kind" != binary ] || say held "$key"; done <"$kept"
done
[ ! -r "$STATE/cordoned" ] || say cordoned
if [ -r "$STATE/phases" ]; then
    while IFS=$TAB read -r name value; do say phase "$name" "$value"; done <"$STATE/phases"
fi
if [ -n "$staged" ] && [ -f "$STATE/staged/$staged/manifest" ]; then
    say staged "$staged"
    set +f
    for blob in "$STATE/staged/$staged/blobs"/*; do [ ! -f "$blob" ] || say blob "${blob##*/}"; done
    set -f
fi
set +f
for mark in "$STATE/pending"/* "$STATE/pending"/.daemon-reload; do
    [ -f "$mark" ] || continue
    # An empty mark is what a crash or a full disk leaves of one: the greater debt is assumed.
    value=''
    IFS= read -r value <"$mark"
    say pending "${mark##*/}" "${value:-restart}"
done
set -f
IFS=$NL
for name in $programs; do command -v "$name" >/dev/null || say missing "$name"; done
for path in $existing; do [ ! -e "$ROOT$path" ] || say exists "$path"; done
# What no manifest has and a program may read all the same; names that begin with a dot are read by nothing.
for path in $folders; do
    set +f
    for inside in "$ROOT$path"/*; do
        name=${inside##*/}
        case $name in *[[:cntrl:]]*) continue ;; esac
        { [ ! -e "$inside" ] && [ ! -L "$inside" ]; } || say inside "$path/$name"
    done
    set -f
done
if [ -n "$users" ] && [ -z "$ROOT" ]; then
    # "NAME : GROUP GROUP" for each that there is; one program for all of them.
    groups -- $users 2>/dev/null | while IFS= read -r line; do say user "${line%% : *}" "${line#* : }"; done
fi
for name in $users; do
    [ -z "$ROOT" ] || while IFS=: read -r found _; do [ "$found" != "$name" ] || say user "$name" -; done <"$ROOT/etc/passwd"
done
if [ -n "$packages" ]; then
    if command -v dpkg-query >/dev/null; then
        dpkg-query -W -f='${db:Status-Status}\t${Package}\t${Version}\n' -- $packages 2>/dev/null |
            while IFS=$TAB read -r status name value; do [ "$status" != installed ] || say package "$name" "$value"; done
    elif command -v rpm >/dev/null; then
        for name in $packages; do
            if value=$(rpm -q --qf '%{VERSION}-%{RELEASE}' -- "$name" 2>/dev/null); then say package "$name" "$value"; fi
        done
    fi
fi
for path in $certificates; do say_certificate "$path"; done
# What we own, and how what lies there compares with it. A digest is computed anew only where size, inode or mtime changed.
owned=/dev/null
if [ -r "$STATE/installed" ]; then
    owned=$STATE/installed
    records=$(cat "$owned") || fail "$owned cannot be read"
    answer=''
    IFS=$NL
    for line in $records; do
        IFS=$TAB
        set -- $line
        key=${1-} restarts=${10:--} reloads=${11:--}
        answer=${answer}own$TAB$key$TAB${2-}$TAB${3-}$TAB${4-}$TAB${9-}$TAB$restarts$TAB$reloads$NL
        case $key in /*) paths=$paths.$key$NL ;; esac
        # A file that is to go can be read by a unit that nothing else names any more.
        IFS=,
        for unit in $restarts $reloads; do
            case $NL$units in *"$NL$unit$NL"*) ;; *) [ "$unit" = - ] || units=$units$unit$NL ;; esac
        done
    done
    printf '%s' "$answer"
fi
cd "${ROOT:-/}" || fail "the root folder cannot be entered"
if [ -n "$paths" ]; then
    IFS=$NL
    facts=$(
        stat --printf='%n\t%F\t%a\t%U\t%G\t%s\t%i\t%.9Y\n' -- $paths 2>/dev/null | cut -c2- | sort -u -t "$TAB" -k 1,1 |
            join -t "$TAB" -a 1 -e - -o 0,1.2,1.3,1.4,1.5,1.6,1.7,1.8,2.2,2.5,2.6,2.7,2.8,2.9 - "$owned"
    )
    # One program for all links. A target with a line break in it does not end as the others do, and is read by itself.
    links=$NL$(find $paths -maxdepth 0 -type l -printf '%p\t%l\t\n' 2>/dev/null)$NL
    answer=''
    for line in $facts; do
        IFS=$TAB
        set -- $line
        path=$1 type=$2 kind=$9 recorded=${10} id=${14}
        sum=- target=- same=-
        case $type in
        'regular file' | 'regular empty file')
            type='file' proved=$deep
            # Whoever may write a file, or owns a program, can give it back its size and time: then the digest alone counts.
            case $3 in *[2367]? | *[2367]) proved=yes ;; esac
            [ "$kind" != binary ] || [ "$3 $4 $5" = '755 root root' ] || proved=yes
            if [ -z "$proved" ] && [ "$6 $7 $8" = "${11} ${12} ${13}" ]; then
                sum=$recorded
            else
                sum=$(sha256sum <".$path") || continue
                sum=${sum%% *}
            fi
            [ "$sum" = "$recorded" ] && same=same || same=differs
            case $kind$secrets in secret* | *"$NL$path$NL"*) sum=- ;; esac
            ;;
        'symbolic link')
            type='link'
            target=${links#*"$NL.$path$TAB"}
            target=${target%%"$NL"*}
            case $target in *"$TAB") target=${target%"$TAB"} ;; *) target=$(readlink -- ".$path") ;; esac
            case $target in *[[:cntrl:]]*) target=$(printf '%s' "$target" | tr -d '\000-\037\177') ;; esac
            target=${target:--}
            [ "$target" = "$id" ] && same=same || same=differs
            ;;
        directory) ;;
        *) type=other ;;
        esac
        answer=${answer}path$TAB$path$TAB$type$TAB$3$TAB$4$TAB$5$TAB$sum$TAB$target$TAB$same$NL
    done
    printf '%s' "$answer"
fi
if [ -n "$units" ] && command -v systemctl >/dev/null; then
    IFS=$NL
    systemctl show --property=Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,Type,NeedDaemonReload,FragmentPath,DropInPaths -- $units 2>/dev/null |
        while IFS= read -r line; do say show "$line"; done
fi
say end
