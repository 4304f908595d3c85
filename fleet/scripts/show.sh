# The content of files that anybody on the host may read, for the lines of a plan. Input: one path per line.
while IFS= read -r path; do
    [ -f "$ROOT$path" ] && [ ! -L "$ROOT$path" ] || continue
    case $(stat -c %a -- "$ROOT$path") in
    *[4567])
        if [ "$(stat -c %s -- "$ROOT$path")" -le 262144 ]; then
            say content "$path" "$(base64 -w 0 <"$ROOT$path")"
        fi
        ;;
    esac
done
say end
