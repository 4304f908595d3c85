#!/bin/sh
# Unpack as Composer asks for it, `unzip -qq ARCHIVE -d FOLDER`, with the agent's java: PHP's image can unpack no zip.
# Modes and links are not kept; Composer itself makes executable what packages name as their programs.
set -eu
archive='' folder=.
while [ "$#" -gt 0 ]; do
  case $1 in
    -q | -qq | -o) ;;
    -d)
      folder=$2
      shift
      ;;
    -*)
      echo "unzip: this one knows -q, -o and -d alone, not $1; for more, agentImages.php names an image with unzip" >&2
      exit 10
      ;;
    *) archive=$(realpath "$1") ;;
  esac
  shift
done
mkdir -p "$folder"
cd "$folder"
exec /agent/java/bin/jar xf "$archive"
