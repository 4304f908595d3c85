# How are you? Reads and changes nothing: since when units are as they are, who listens, which certificates lie here.
# Input: unit U | certificate P | backup FOLDER
units='' certificates='' backup=''
while IFS= read -r line; do
    value=${line#*"$TAB"}
    case ${line%%"$TAB"*} in
    unit) units=$units$value$NL ;;
    certificate) certificates=$certificates$value$NL ;;
    backup) backup=$value ;;
    *) fail "the question is not understood: $line" ;;
    esac
done
say slipway 1
if [ -r "$ROOT/proc/uptime" ]; then
    # systemd tells its moments in microseconds since boot, so the host's clock does not matter.
    read -r up _ <"$ROOT/proc/uptime"
    say up "${up%%.*}"
fi
IFS=$NL
for path in $certificates; do say_certificate "$path"; done
if [ -n "$units" ] && command -v systemctl >/dev/null; then
    systemctl show --property=Id,ActiveState,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic -- $units 2>/dev/null |
        while IFS= read -r line; do say show "$line"; done
fi
IFS=" $TAB$NL"
if [ -n "$backup" ]; then
    # What the last run of a backup has written: "TIME REVISION HASH SIZE NAME", and "TIME why it failed".
    for word in good failure; do
        found=''
        [ ! -r "$ROOT$backup/last-$word" ] || IFS= read -r found <"$ROOT$backup/last-$word"
        [ -z "$found" ] || say "backup-$word" "$found"
    done
fi
say_listeners
say end
