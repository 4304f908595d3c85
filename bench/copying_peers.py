"""What others take to bring the same files to the same targets: Ansible and pyinfra.

Both get the texts of a host's rendered files, one task for each file as their users write it, into one folder. Owner
and mode are given; there is no service, no secret and no order to mind.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bench import peers
from bench.farm_cluster import FarmCluster
from bench.measuring import Run, run
from fleet.tree import load as load_tree

_PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"name": "folder", "ansible.builtin.file": {"path": "/opt/ansible", "state": "directory", "mode": "0755"}},
            {
                "name": "files",
                "ansible.builtin.copy": {
                    "src": "{{ folder }}/{{ item }}",
                    "dest": "/opt/ansible/{{ item }}",
                    "owner": "root",
                    "group": "root",
                    "mode": "0644",
                },
                "loop": "{{ names }}",
            },
        ],
    }
]
_DEPLOY = """\
from pyinfra import host
from pyinfra.operations import files

for name in host.data.names:
    files.put(
        name=name,
        src=f"{host.data.folder}/{name}",
        dest=f"/opt/pyinfra/{name}",
        user="root",
        group="root",
        mode="644",
    )
"""


class Copying:
    """Files of a farm's cluster laid out for the peers, `files` of each host at most."""

    def __init__(self, cluster: FarmCluster, folder: Path, files: int) -> None:
        self.cluster = cluster
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.hosts: dict[str, dict[str, Any]] = {}
        for name, host in load_tree(cluster.rendered).hosts.items():
            texts = [item for item in host.items if item.kind == "file" and not item.is_secret][:files]
            place = folder / "files" / name
            place.mkdir(parents=True)
            names = [f"{number:02d}-{Path(item.path).name}" for number, item in enumerate(texts)]
            for one, item in zip(names, texts, strict=True):
                (place / one).write_bytes(item.content)
            self.hosts[name] = {"address": host.address, "names": names, "folder": str(place)}

    @property
    def most_files(self) -> int:
        """The largest number of files of one host."""
        return max(len(host["names"]) for host in self.hosts.values())

    def change(self, text: str) -> None:
        """Change one file of every host."""
        for host in self.hosts.values():
            with Path(host["folder"], host["names"][0]).open("a") as file:
                file.write(f"# {text}\n")

    def ansible(self, forks: int, most: float) -> Run:
        """Run the playbook."""
        inventory = {
            "all": {
                "hosts": {
                    name: {"ansible_host": host["address"], "names": host["names"], "folder": host["folder"]}
                    for name, host in self.hosts.items()
                },
                "vars": {
                    "ansible_user": "root",
                    "ansible_python_interpreter": "/usr/bin/python3",
                    "ansible_ssh_private_key_file": str(self.cluster.farm.key),
                    "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={self.cluster.farm.known_hosts} "
                    "-o StrictHostKeyChecking=yes",
                },
            }
        }
        (self.folder / "inventory.json").write_text(json.dumps(inventory))
        (self.folder / "playbook.json").write_text(json.dumps(_PLAYBOOK))
        program = peers.programs("ansible") / "ansible-playbook"
        words: list[str | Path] = [program, "-i", "inventory.json", "--forks", str(forks), "playbook.json"]
        env = {"ANSIBLE_PIPELINING": "True", "ANSIBLE_HOME": str(self.folder / "home"), "ANSIBLE_NOCOLOR": "1"}
        return run(self.cluster.farm.inside(words), cwd=self.folder, env=env, most=most)

    def pyinfra(self, most: float) -> Run:
        """Run the deploy."""
        common = {
            "ssh_user": "root",
            "ssh_key": str(self.cluster.farm.key),
            "ssh_known_hosts_file": str(self.cluster.farm.known_hosts),
            "ssh_strict_host_key_checking": "yes",
        }
        hosts = [
            (host["address"], {**common, "names": host["names"], "folder": host["folder"]})
            for host in self.hosts.values()
        ]
        (self.folder / "inventory.py").write_text(f"targets = {hosts!r}\n")
        (self.folder / "deploy.py").write_text(_DEPLOY)
        program = peers.programs("pyinfra") / "pyinfra"
        return run(self.cluster.farm.inside([program, "-y", "inventory.py", "deploy.py"]), cwd=self.folder, most=most)
