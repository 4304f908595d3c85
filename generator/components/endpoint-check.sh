#!/bin/sh
# Whether the balancer of the endpoint runs on this host and has an API server that passes its checks.
# keepalived asks every two seconds, as a user of its own; where the answer is no, another host takes the address.
exec curl --silent --fail --max-time 1 --output /dev/null --unix-socket @SOCKET@ http://localhost/healthz
