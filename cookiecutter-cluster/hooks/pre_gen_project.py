"""Refuses answers from which no cluster can be made, before anything is written."""

# ruff: noqa: F821

import ipaddress
import re
import sys

NAME = {{cookiecutter.name | tojson}}
VERSION = {{cookiecutter.kubernetes_version | tojson}}
CONTROL_PLANE = str({{cookiecutter.control_plane_addresses | tojson}}).split()
WORKERS = str({{cookiecutter.worker_addresses | tojson}}).split()
ENDPOINT = {{cookiecutter.api_endpoint | tojson}}
PLUGIN = {{cookiecutter.network_plugin | tojson}}
RANGES = {"pod_cidr": {{cookiecutter.pod_cidr | tojson}}, "service_cidr": {{cookiecutter.service_cidr | tojson}}}
DOMAIN = {{cookiecutter.domain | tojson}}
USER = {{cookiecutter.ssh_user | tojson}}

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


def faults():
    """Yield each fault as one sentence: what is wrong; what to do."""
    if not re.fullmatch(LABEL, NAME):
        yield f"name {NAME!r} is not a DNS-1123 label; use lower-case letters, digits and hyphens, at most 63"
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", VERSION):
        yield f"kubernetes_version {VERSION!r} is not a whole version; write it like 1.36.1, without a v"
    if DOMAIN.endswith("."):
        yield f"domain {DOMAIN!r} ends with a dot; leave it out: names in certificates carry none"
    elif not re.fullmatch(rf"{LABEL}(\.{LABEL})*", DOMAIN):
        yield f"domain {DOMAIN!r} is not a DNS name; write it like cluster.local"
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", USER):
        yield f"ssh_user {USER!r} is not a login name; write one as it stands in passwd"
    if ENDPOINT and not re.fullmatch(r"[0-9a-f:.]+|[-a-z0-9.]*[a-z0-9]", ENDPOINT):
        yield f"api_endpoint {ENDPOINT!r} is neither an address nor a name; write one without port or scheme"
    if len(CONTROL_PLANE) % 2 == 0:
        yield f"control_plane_addresses are {len(CONTROL_PLANE)}, and etcd needs an odd number; give one, three or five"
    if PLUGIN == "bridge" and len(CONTROL_PLANE) + len(WORKERS) > 50:
        yield "the bridge network is for up to 50 hosts; use another network_plugin"
    yield from address_faults()


def address_faults():
    """Yield the faults of addresses and ranges."""
    networks = {}
    for key, text in RANGES.items():
        try:
            networks[key] = ipaddress.ip_network(text)
        except ValueError as error:
            yield f"{key} {text!r} is not a range of addresses ({error}); write it like 10.244.0.0/16"
    pods, services = networks.get("pod_cidr"), networks.get("service_cidr")
    if pods and services and pods.version == services.version and pods.overlaps(services):
        yield f"pod_cidr {pods} and service_cidr {services} overlap; let them be apart"
    if pods and PLUGIN == "bridge" and (pods.version != 4 or pods.prefixlen > 18):
        yield f"pod_cidr {pods} is too small for the bridge network; use an IPv4 range of /18 or larger"
    seen = set()
    for text in [*CONTROL_PLANE, *WORKERS]:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            yield f"{text!r} is not an IP address; write addresses with spaces between them"
            continue
        if address in seen:
            yield f"address {address} is there twice; give each host its own"
        seen.add(address)
        for key, network in networks.items():
            if address in network:
                yield f"address {address} of a host lies in {key} {network}; choose another range"


found = list(faults())
for fault in found:
    print(fault, file=sys.stderr)
sys.exit(1 if found else 0)
