"""What every TLS listener of the control plane and of etcd accepts."""

from __future__ import annotations

MIN_VERSION = "VersionTLS12"

# Forward secrecy and an authenticated cipher, for either kind of key. The names are Go's and known to etcd 3.4 and to
# every Kubernetes minor in the flag table; TLS 1.3 picks its own. HTTP/2 demands the ones with AES_128_GCM (RFC 9113).
CIPHER_SUITES = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
]
