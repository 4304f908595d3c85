"""A Kapitan inventory of as many targets as wanted, each compiling fourteen small Jinja2 files.

Kapitan (https://kapitan.dev) is the nearest peer of render: text out of an inventory and templates, for review in git.
The templates are of the size and kind of what a node needs: units with a line for each flag, environment files, small
configurations.
"""

from __future__ import annotations

from pathlib import Path

TEMPLATES = 14

_INVENTORY = """\
parameters:
  target_name: {name}
  address: {address}
  kapitan:
    vars:
      target: {name}
classes:
  - common
"""
_COMMON = """\
parameters:
  kubernetes: 1.36.1
  flags:
    v: 2
    max-requests-inflight: 800
    node-ip: ${address}
    hostname-override: ${target_name}
  kapitan:
    compile:
      - output_path: .
        input_type: jinja2
        input_paths: [templates]
"""
_TEMPLATE = """\
{{% set p = inventory.parameters %}}
# part {number} of {{{{ p.target_name }}}}
[Unit]
Description=part {number} of {{{{ p.target_name }}}}
After=network-online.target

[Service]
Environment=VERSION={{{{ p.kubernetes }}}}
ExecStart=/usr/local/bin/part-{number} \\
{{% for name, value in p.flags | dictsort %}}
  --{{{{ name }}}}={{{{ value }}}}{{{{ " \\\\" if not loop.last }}}}
{{% endfor %}}
Restart=always

[Install]
WantedBy=multi-user.target
"""


def make_tree(root: Path, targets: int) -> None:
    """Write inventory and templates for this many targets below a new folder."""
    classes, listed, templates = root / "inventory/classes", root / "inventory/targets", root / "templates"
    for folder in (classes, listed, templates):
        folder.mkdir(parents=True)
    (classes / "common.yml").write_text(_COMMON)
    for number in range(1, TEMPLATES + 1):
        (templates / f"part-{number:02d}.service").write_text(_TEMPLATE.format(number=number))
    for index in range(targets):
        name = f"worker-{index + 1:04d}"
        address = f"10.0.{1 + index // 250}.{1 + index % 250}"
        (listed / f"{name}.yml").write_text(_INVENTORY.format(name=name, address=address))
