#!/bin/sh
# Approves the serving certificate of a kubelet when its request is, byte for byte, the one that the node is listed
# with in the ConfigMap kube-system/slipway-nodes: subject, alternative names, and nothing else. All other requests stay
# pending; each is named once in the journal. Whoever may create a request chooses its name and its content, so both are
# only ever data here: kubectl prints names escaped as in a URL, and requests are compared as hex digits.
set -eu
export LC_ALL=C

signer=kubernetes.io/kubelet-serving
reported=${HOME:?}/reported
newline='
'

api() {
    kubectl --request-timeout=20s "$@" </dev/null
}

# One line for each request: name, signer, user, groups, usages, conditions, and the request in base64. Every field but
# the last starts with a letter and a colon, so that none is empty; lists end each entry with a comma.
requests() {
    api get certificatesigningrequests.v1.certificates.k8s.io --field-selector="spec.signerName=$signer" -o go-template='
{{- range .items -}}
n:{{urlquery .metadata.name}} s:{{urlquery .spec.signerName}} u:{{urlquery .spec.username}} g:
{{- range .spec.groups}}{{urlquery .}},{{end}} a:{{range .spec.usages}}{{urlquery .}},{{end}} c:
{{- range .status.conditions}}{{urlquery .type}},{{end}} {{.spec.request}}{{"\n"}}
{{- end}}'
}

# One line for each node: its name and its two hex texts.
listed_nodes() {
    # shellcheck disable=SC2016 # the variables are the template's
    api --namespace=kube-system get configmaps slipway-nodes -o go-template='
{{- range $node, $line := .data}}{{urlquery $node}}+{{urlquery $line}}{{"\n"}}{{end}}'
}

# sorted LIST prints the entries of a list in order.
sorted() {
    printf '%s' "$1" | tr , '\n' | sort | tr '\n' ,
}

# tlv TAG HEX prints a DER element.
tlv() {
    size=$((${#2} / 2))
    if [ "$size" -lt 128 ]; then
        printf '%s%02x%s' "$1" "$size" "$2"
    elif [ "$size" -lt 256 ]; then
        printf '%s81%02x%s' "$1" "$size" "$2"
    else
        printf '%s82%04x%s' "$1" "$size" "$2"
    fi
}

# open_sequence HEX splits a text that starts with a DER sequence into `content` and what comes `after` it.
open_sequence() {
    case $1 in
    30[0-7]?*) head=2 ;;
    3081??*) head=3 ;;
    3082????*) head=4 ;;
    *) return 1 ;;
    esac
    header=$(printf "%.$((head * 2))s" "$1")
    case $head in
    2) size=$((0x${header#30})) ;;
    *) size=$((0x${header#308?})) ;;
    esac
    rest=${1#"$header"}
    [ "${#rest}" -ge $((size * 2)) ] || return 1
    content=$(printf "%.$((size * 2))s" "$rest")
    after=${rest#"$content"}
}

# request_hex BASE64 prints the DER of a request as hex digits. The request must be the PEM that its DER gives when it is
# written anew, so that no two readers of PEM can see two requests in it.
request_hex() {
    text=$(printf '%s' "$1" | base64 -d 2>/dev/null) || return 1
    body=${text#"-----BEGIN CERTIFICATE REQUEST-----$newline"}
    body=${body%"$newline-----END CERTIFICATE REQUEST-----"}
    case $body in '' | *[!A-Za-z0-9+/=$newline]*) return 1 ;; esac
    anew=$({
        echo '-----BEGIN CERTIFICATE REQUEST-----'
        printf '%s' "$body" | base64 -d 2>/dev/null | base64 -w 64
        echo '-----END CERTIFICATE REQUEST-----'
    } | base64 -w 0)
    [ "$anew" = "$1" ] || return 1
    printf '%s' "$body" | base64 -d | od -An -v -tx1 | tr -d ' \n'
}

# asks_only HEX SUBJECT NAMES tells whether a request is: version 0, the subject, any one public key, and one attribute,
# an extension request with the alternative names alone.
asks_only() {
    extension=$(tlv 30 "0603551d11$(tlv 04 "$3")")
    attribute=$(tlv 30 "06092a864886f70d01090e$(tlv 31 "$(tlv 30 "$extension")")")
    attributes=$(tlv a0 "$attribute")
    [ -n "$attributes" ] || return 1
    open_sequence "$1" && [ -z "$after" ] || return 1
    open_sequence "$content" || return 1
    information=$content
    key_on=${information#"020100$2"}
    [ "$key_on" != "$information" ] || return 1
    open_sequence "$key_on" && [ "$after" = "$attributes" ]
}

# verdict prints `approve`, or why the request at hand stays pending.
verdict() {
    case $name in csr-*) ;; *) echo 'its name is none that a kubelet gets' && return ;; esac
    case ${name#csr-} in '' | *[!a-z0-9]*) echo 'its name is none that a kubelet gets' && return ;; esac
    [ "$by" = 's:kubernetes.io%2Fkubelet-serving' ] || { echo 'its signer is another' && return; }
    case $user in u:system%3Anode%3A*) ;; *) echo 'no node asked for it' && return ;; esac
    node=${user#u:system%3Anode%3A}
    case $node in '' | *[!a-z0-9.-]*) echo 'no node has such a name' && return ;; esac
    [ "$(sorted "${groups#g:}")" = system%3Aauthenticated,system%3Anodes, ] ||
        { echo 'the requestor is not in exactly the groups of a node' && return; }
    case $(sorted "${usages#a:}") in
    digital+signature,server+auth, | digital+signature,key+encipherment,server+auth,) ;;
    *) echo 'it asks for other usages than a kubelet' && return ;;
    esac
    line=${nodes#*"$newline$node+"}
    [ "$line" != "$nodes" ] || { echo 'the node is not in the list' && return; }
    line=${line%%"$newline"*}
    subject=${line%%+*}
    names=${line#*+}
    case $subject in '' | "$line" | *[!0-9a-f]*) echo 'the line of the node is broken' && return ;; esac
    case $names in '' | *[!0-9a-f]*) echo 'the line of the node is broken' && return ;; esac
    [ "${#request}" -le 16384 ] || { echo 'it is longer than that of a kubelet' && return; }
    hex=$(request_hex "$request") || { echo 'it is not one certificate request in plain PEM' && return; }
    asks_only "$hex" "$subject" "$names" ||
        { echo 'its subject or names are not those of the node in the list' && return; }
    echo approve
}

found=$(requests)
nodes=$newline$(listed_nodes)
known=$newline$(cat "$reported" 2>/dev/null || :)$newline
status=0
: >"$reported.new"
while read -r name by user groups usages conditions request; do
    [ "$conditions" = c: ] || continue
    name=${name#n:}
    why=$(verdict) || why='it cannot be checked'
    if [ "$why" = approve ]; then
        api certificate approve "$name" || status=1
        continue
    fi
    entry="$name of ${user#u:} stays pending: $why"
    printf '%s\n' "$entry" >>"$reported.new"
    case $known in *"$newline$entry$newline"*) ;; *) printf '%s\n' "$entry" >&2 ;; esac
done <<EOF
$found
EOF
mv "$reported.new" "$reported"
exit "$status"
