"""The CAs of the house that the delivery chain trusts: who is told of them, and what is made of their file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.errors import SpecError
from generator.pki.issuing import certificate_pem
from generator.pki.request_material import RequestMaterial
from generator.render.objects import ADDONS, object_files, objects
from generator.spec.loading import load_text
from tests.addons.test_jenkins import AGENTS, LEAST
from tests.fleet.certificate_maker import TestCa
from tests.spec.samples import spec

HOUSE = "".join(certificate_pem(TestCa.made().certificate) for _ in range(2))
TRUSTING = {
    "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
}  # fmt: skip


def with_ca(root: Path, **asked: Any) -> list[dict[str, Any]]:
    """Return the objects of a cluster whose delivery chain trusts a CA of the house."""
    given = spec(addons={"jenkins": {**LEAST, "caFile": "files/house.pem", **asked}})
    cluster = load_text(yaml.safe_dump(given, sort_keys=False), name="prod", files={"files/house.pem": HOUSE})
    found = object_files(objects(cluster, RequestMaterial(cluster), root))
    return [one for _, value in found for one in yaml.safe_load_all(value) if "metadata" in one]


@pytest.mark.parametrize("asked", [{}, {"staticAgents": True}, {"builder": "buildah"}], ids=str)
def test_everything_that_asks_by_tls_trusts_the_ca_of_the_house(tmp_path: Path, asked: dict[str, Any]) -> None:
    members = [one for one in with_ca(tmp_path, **asked) if "jenkins" in str(one["metadata"].get("namespace"))]
    maps = {one["metadata"]["namespace"]: one["data"] for one in members if one["metadata"]["name"] == "ca"}
    assert set(maps) == {"jenkins", "jenkins-agents", "jenkins-build"}
    assert {data["ca.crt"] for data in maps.values()} == {HOUSE}
    specs = [one["spec"]["template"]["spec"] for one in members if one["kind"] in {"StatefulSet", "Deployment"}]
    (configuration,) = [one for one in members if one["metadata"]["name"] == "jenkins-configuration"]
    for cloud in yaml.safe_load(configuration["data"]["jenkins.yaml"])["jenkins"]["clouds"]:
        specs += [yaml.safe_load(one["yaml"])["spec"] for one in cloud["kubernetes"]["templates"]]
    assert len(specs) == len(AGENTS) + (1 if "builder" in asked else 2)
    for one in specs:
        volumes = {volume["name"]: volume for volume in one["volumes"]}
        assert volumes["ca"]["configMap"]["name"] == "ca"
        for container in [*one["containers"], *(c for c in one.get("initContainers", []) if c["name"] == "plugins")]:
            said = {entry["name"]: entry["value"] for entry in container["env"]}
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            files = {value for name, value in said.items() if name in TRUSTING}
            files |= set(re.findall(r"trustStore=(\S+)", said.get("JAVA_TOOL_OPTIONS", "")))
            # What is named is mounted, and made before by the step that has the same volume.
            assert {str(Path(file).parent) for file in files} <= set(mounts)
            if container["name"] == "buildkitd":
                assert files == {"/etc/slipway/ca/ca.crt"} and mounts["/etc/slipway/ca"] == "ca"
            else:
                assert set(said) >= TRUSTING and len(files) == 2
                names = [made["name"] for made in one["initContainers"]]
                (made,) = [made for made in one["initContainers"] if made["name"] == "trust"]
                assert "plugins" not in names or names.index("trust") < names.index("plugins")
                assert {mount["name"] for mount in made["volumeMounts"]} == {"ca", "trust"}
                assert made["command"][-1] in mounts and mounts[made["command"][-1]] == "trust"


@pytest.mark.skipif(not shutil.which("keytool"), reason="needs keytool (a Java)")
def test_what_java_and_others_trust_is_made_of_both(tmp_path: Path) -> None:
    program = shutil.which("keytool")
    assert program is not None
    home = Path(program).resolve().parents[1]
    java = tmp_path / "java"
    (java / "bin").mkdir(parents=True)
    (java / "lib/security").mkdir(parents=True)
    (java / "bin/keytool").symlink_to(home / "bin/keytool")
    certificate = tmp_path / "public.pem"
    certificate.write_text(certificate_pem(TestCa.made().certificate))
    store = java / "lib/security/cacerts"

    def keytool(*words: str) -> str:
        done = subprocess.run([program, *words, "-storepass", "changeit"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    keytool("-importcert", "-noprompt", "-alias", "public", "-file", str(certificate), "-keystore", str(store))
    (tmp_path / "house.pem").write_text("# ours\n" + HOUSE)
    words = ["/bin/sh", str(ADDONS / "jenkins/init/trust.sh"), str(tmp_path / "house.pem"), str(tmp_path / "trust")]
    for _ in range(2):
        # A pod whose step is run again finds what the first time made.
        subprocess.run(words, check=True, env={"PATH": "/usr/bin:/bin", "JAVA_HOME": str(java)}, capture_output=True)
    listed = keytool("-list", "-keystore", str(tmp_path / "trust/cacerts"))
    assert set(re.findall(r"^(\S+), .*trustedCertEntry", listed, re.MULTILINE)) == {"public", "slipway-1", "slipway-2"}
    text = (tmp_path / "trust/ca.crt").read_text()
    assert text.endswith(HOUSE)
    public = Path("/etc/ssl/certs/ca-certificates.crt")
    assert not public.is_file() or text.startswith(public.read_text())
    assert {path.name for path in (tmp_path / "trust").iterdir()} == {"ca.crt", "cacerts"}


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "there is no file files/house.pem"), ("nothing\n", "holds no certificates in PEM"),
     (HOUSE + "-----BEGIN EC PRIVATE " + "KEY-----\n", "there is a private key in"),
     (HOUSE.replace("-----END CERTIFICATE-----", "", 1), "holds no certificates in PEM")],
)  # fmt: skip
def test_a_file_of_cas_holds_certificates_and_nothing_else(text: str | None, says: str) -> None:
    given = yaml.safe_dump(spec(addons={"jenkins": {**LEAST, "caFile": "files/house.pem"}}), sort_keys=False)
    with pytest.raises(SpecError, match=says):
        load_text(given, name="prod", files={} if text is None else {"files/house.pem": text})
