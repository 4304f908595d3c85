#!/bin/sh
# Make what programs trust, the CAs of the house beside those that this image trusts: trust.sh PEM FOLDER
#
# FOLDER/ca.crt is for all that reads PEM, FOLDER/cacerts for java, which takes one certificate at a time.
set -eu
pem=$1
folder=$2
public=/etc/ssl/certs/ca-certificates.crt

mkdir -p "$folder"
{
    if [ -r "$public" ]; then cat "$public"; fi
    cat "$pem"
} >"$folder/ca.crt"
cat "$JAVA_HOME/lib/security/cacerts" >"$folder/cacerts"
number=0
while IFS= read -r line || [ -n "$line" ]; do
    case $line in
    *'BEGIN CERTIFICATE'*)
        number=$((number + 1))
        : >"$folder/one.crt"
        ;;
    esac
    [ "$number" = 0 ] || printf '%s\n' "$line" >>"$folder/one.crt"
    case $line in
    *'END CERTIFICATE'*)
        # No secret: every java has this password, and what it protects is public.
        "$JAVA_HOME/bin/keytool" -J-XX:-UsePerfData -importcert -noprompt -trustcacerts -alias "slipway-$number" \
            -file "$folder/one.crt" -keystore "$folder/cacerts" -storepass changeit
        ;;
    esac
done <"$pem"
rm -f "$folder/one.crt"
