# The certificates in files, and never a key that lies beside them. Input: one path per line. PEM lines come joined by
# commas, which PEM has not. First this host's clock, by which its programs judge them.
say clock "$(date +%s)"
while IFS= read -r path; do
    if [ ! -f "$ROOT$path" ]; then
        say missing "$path"
        continue
    fi
    pem='' inside=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '-----BEGIN CERTIFICATE-----') inside=yes ;;
        -----BEGIN*) inside='' ;;
        esac
        [ -z "$inside" ] || pem="$pem$line,"
        case $line in -----END*) inside='' ;; esac
    done <"$ROOT$path"
    say certificate "$path" "$pem"
done
say end
