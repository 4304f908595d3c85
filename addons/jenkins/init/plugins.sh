#!/bin/sh
# Fetch the plugins of a list into the controller's home: plugins.sh LIST HOME IMAGE
#
# What lies there already for this list and this image of the controller stays, so a start asks the network for nothing
# when nothing has changed. A list that cannot be fetched whole leaves what was there, and stops the pod.
set -eu
list=$1
home=$2
wanted="$3
$(cat "$list")"

if [ -f "$home/plugins/.slipway" ] && [ "$(cat "$home/plugins/.slipway")" = "$wanted" ]; then
    echo 'the plugins of the list are there'
    exit 0
fi
rm -rf "$home/plugins.new" "$home/plugins.old"
mkdir "$home/plugins.new"
# Without --latest false those that others need would be the newest of the day.
jenkins-plugin-cli --plugin-file "$list" --plugin-download-directory "$home/plugins.new" --latest false
printf '%s\n' "$wanted" >"$home/plugins.new/.slipway"
if [ -e "$home/plugins" ]; then
    mv "$home/plugins" "$home/plugins.old"
fi
mv "$home/plugins.new" "$home/plugins"
rm -rf "$home/plugins.old"
