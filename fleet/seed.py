"""A NoCloud seed: an ISO image by which a machine without any metadata service gets its user-data.

cloud-init takes a file system with the label cidata and the files user-data and meta-data
(https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import yaml

from generator.formats.yaml_text import yaml_text

LABEL = "cidata"


def meta_data(cluster: str, host: str, user_data: bytes) -> bytes:
    """Return meta-data; its instance-id changes with user-data, so that a host with a new seed boots as a new one."""
    digest = hashlib.sha256(user_data).hexdigest()[:16]
    return yaml_text({"instance-id": f"{cluster}-{host}-{digest}", "local-hostname": host}).encode()


def seed_files(cluster: str, host: str, user_data: bytes, network_config: bytes | None = None) -> Mapping[str, bytes]:
    """Return the files of a seed; without `network_config` the image sets up its network as it does by itself."""
    files = {"meta-data": meta_data(cluster, host, user_data), "user-data": user_data}
    return files if network_config is None else {**files, "network-config": network_config}


def network_fault(content: bytes) -> str:
    """Return why cloud-init would not take a network-config, "" where it would: a mapping of version 1 or 2.

    Both may stand below a key `network` (https://cloudinit.readthedocs.io/en/latest/reference/network-config.html).
    """
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"it is no YAML ({' '.join(str(error).split())})"
    inner = document.get("network", document) if isinstance(document, dict) else None
    if not isinstance(inner, dict) or inner.get("version") not in (1, 2):
        return "it has no `version: 1` or `version: 2`"
    return ""


def iso(files: Mapping[str, bytes]) -> bytes:
    """Return an ISO 9660 image with Rock Ridge and Joliet names that holds some files."""
    # Read when an image is made: it takes longer than all that user-data needs.
    import pycdlib

    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for name, content in sorted(files.items()):
        plain = name.upper().replace("-", "_")
        image.add_fp(
            io.BytesIO(content), len(content), f"/{plain}.;1", rr_name=name, joliet_path=f"/{name}", file_mode=0o100400
        )
    made = io.BytesIO()
    image.write_fp(made)
    image.close()
    return made.getvalue()
