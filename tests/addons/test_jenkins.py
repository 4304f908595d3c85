"""Jenkins: what its configuration says, how far each account reaches, and what is kept apart.

JCasC has no schema without a running controller: tests/addons/casc_keys.py has the keys that public sources show.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import ValidationError

from generator.ci.languages import LANGUAGES
from generator.ci.schema import Language as ProjectLanguage
from generator.errors import RenderError, SpecError
from generator.pki.request_material import RequestMaterial
from generator.render.charts import charts
from generator.render.objects import ADDONS, images, object_files, objects
from generator.spec.addons.jenkins import JenkinsRepository, JenkinsSources, Language
from tests.addons.casc_keys import strange
from tests.addons.cases import in_minors, members, pod_specs
from tests.addons.schemas import check
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_cluster, case_objects
from tests.spec.samples import loaded

CASES = {case.name: case for case in ADDON_CASES if case.addon == "jenkins"}
EVERY_CASE = pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
AGENTS = {"go", "java", "nodejs", "php", "python", "slipway"}


def one(case: AddonCase, kind: str, name: str, namespace: str | None = None) -> Any:
    """Return an object of a case."""
    (found,) = (
        member
        for member in members(case)
        if member["kind"] == kind
        and member["metadata"]["name"] == name
        and namespace in {None, member["metadata"].get("namespace")}
    )
    return found


def casc(case: AddonCase) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(one(case, "ConfigMap", "jenkins-configuration")["data"]["jenkins.yaml"])
    return found


def credentials(case: AddonCase) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = casc(case)["credentials"]["system"]["domainCredentials"][0]["credentials"]
    return found


def tools_agent(case: AddonCase) -> dict[str, Any]:
    """Return the pod of the agent slipway where it is one on demand."""
    (text,) = [
        template["yaml"]
        for cloud in casc(case)["jenkins"]["clouds"]
        for template in cloud["kubernetes"]["templates"]
        if template["name"] == "slipway"
    ]
    found: dict[str, Any] = yaml.safe_load(text)["spec"]
    return found


@EVERY_CASE
def test_the_configuration_has_the_keys_that_the_plugins_know(case: AddonCase) -> None:
    found = casc(case)
    assert list(strange(found)) == []
    # One kind of credential, of launcher and of cloud each.
    assert all(len(entry) == 1 for entry in [*credentials(case), *found["jenkins"]["clouds"]])
    by_ssh = {"security"} if case.name == "static-agents" else set()
    assert set(found) == {"jenkins", "credentials", "unclassified", "jobs"} | by_ssh
    assert found["jenkins"]["numExecutors"] == 0


def test_git_by_ssh_knows_its_servers_and_no_others() -> None:
    security = casc(CASES["static-agents"])["security"]["gitHostKeyVerificationConfiguration"]
    keys = security["sshHostKeyVerificationStrategy"]["manuallyProvidedKeyVerificationStrategy"]["approvedHostKeys"]
    assert [line.split()[0] for line in keys.splitlines()] == ["git.example.net", "[git.example.net]:2222,10.0.0.9"]
    asked = {"secret": "ops-git", "user": "git"}
    (entry,) = [one for one in credentials(CASES["static-agents"]) if "basicSSHUserPrivateKey" in one]
    fields = entry["basicSSHUserPrivateKey"]
    assert {"secret": fields["id"], "user": fields["username"]} == asked


def test_a_key_that_no_source_shows_is_found() -> None:
    found: Any = {"jenkins": {"crumbIssuer": {}, "nodes": [{"permanent": {"launcher": {"inbound": {}}}}], "clouds": {}}}
    assert list(strange(found)) == [
        "jenkins.crumbIssuer", "jenkins.nodes[0].permanent.launcher: no plain value", "jenkins.clouds: no list",
    ]  # fmt: skip


@EVERY_CASE
def test_each_credential_is_a_file_of_a_sealed_secret(case: AddonCase) -> None:
    secret = one(case, "Secret", "jenkins-credentials")
    assert "data" not in secret
    sealed = {line.split()[0] for line in secret["metadata"]["annotations"]["slipway.io/secrets"].splitlines()}
    text = one(case, "ConfigMap", "jenkins-configuration")["data"]["jenkins.yaml"]
    read = set(re.findall(r"\$\{(?:readFile|readFileBase64):/etc/slipway/secrets/([^}]+)\}", text))
    # Where people of a directory log in, nobody has that password.
    assert read | {"admin"} == sealed and text.count("${") == len(read)
    assert ("admin" in read) == (case.name != "directory")
    users = {"user-anna", "user-ci"} if case.name == "projects" else set()
    assert {next(iter(entry.values()))["id"] for entry in credentials(case)} == sealed - {"admin"} - users
    if case.name == "projects":
        assert sealed - users == {"admin", "ops-git", "registry-push", "team-slack", "vm-known-hosts", "vm-ssh-key"}


SEE = {"Overall/Read", "Job/Read"}
EVERYTHING = {"Overall/Administer"}


def granted(case: AddonCase) -> dict[tuple[str, str], set[str]]:
    """Return what each user and each group may do."""
    strategy = casc(case)["jenkins"]["authorizationStrategy"]
    assert set(strategy) == {"globalMatrix"}
    entries = [item for entry in strategy["globalMatrix"]["entries"] for item in entry.items()]
    found = {(kind, one["name"]): set(one["permissions"]) for kind, one in entries}
    # An entry with both kinds is refused by the plugin; of two for one name, nobody says which holds.
    assert len(found) == len(entries) == len(strategy["globalMatrix"]["entries"])
    return found


@EVERY_CASE
def test_who_logs_in_may_do_what_the_spec_gives_him_and_nothing_else(case: AddonCase) -> None:
    build = SEE | {"Job/Build", "Job/Cancel"}
    expected: dict[tuple[str, str], set[str]] = {("user", "admin"): EVERYTHING}
    if case.name == "projects":
        # anna builds and approves.
        expected |= {("user", "anna"): build, ("user", "ci"): build, ("group", "authenticated"): SEE}
    elif case.name == "directory":
        expected = {("user", "ops"): EVERYTHING, ("group", "authenticated"): SEE}
        for kind in ("user", "group"):
            expected[kind, "platform-team"] = EVERYTHING
            expected[kind, "developers"] = build
            expected[kind, "release-team"] = SEE | {"Job/Build"}
    assert granted(case) == expected


def test_each_user_of_jenkins_own_login_has_the_password_that_was_sealed_for_him() -> None:
    realm = casc(CASES["projects"])["jenkins"]["securityRealm"]["local"]
    assert realm["allowsSignup"] is False
    files = {user["id"]: user["password"].partition(":")[2] for user in realm["users"]}
    folder = "/etc/slipway/secrets"
    assert files == {"admin": f"{folder}/admin}}", "anna": f"{folder}/user-anna}}", "ci": f"{folder}/user-ci}}"}
    secret = one(CASES["projects"], "Secret", "jenkins-credentials")
    lines = secret["metadata"]["annotations"]["slipway.io/secrets"].splitlines()
    sealed = {tuple(line.split()[:2]) for line in lines}
    assert {("user-anna", "addons/jenkins-user-anna"), ("user-ci", "addons/jenkins-user-ci")} <= sealed


@pytest.mark.parametrize(
    "asked", [{"approvers": ["anna", "release-team"]}, {"access": {"builders": ["anna", "release-team", "admin"]}}]
)
def test_rights_of_somebody_who_cannot_log_in_are_refused_but_for_another_login(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(
        RenderError, match=r"users: lacks release-team, of access or .* knows admin, anna, and no groups"
    ):
        texts_of(tmp_path, "", users=["anna"], **asked)
    realm = "configurationPatch: { jenkins: { securityRealm: { 'local': null, ldap: {} } } }"
    assert "release-team" in texts_of(tmp_path, realm, users=["anna"], **asked)
    own = {"users": ["anna", "release-team"], "access": {"readers": ["authenticated"]}}
    assert "release-team" in texts_of(tmp_path, "", **{**own, **asked})


@EVERY_CASE
def test_every_agent_is_there_once_and_has_its_language_as_label(case: AddonCase) -> None:
    found = casc(case)["jenkins"]
    templates = [template for cloud in found["clouds"] for template in cloud["kubernetes"]["templates"]]
    nodes = [node["permanent"] for node in found.get("nodes", [])]
    assert {entry["label"] for entry in templates} | {entry["labelString"] for entry in nodes} == AGENTS
    assert len(templates) + len(nodes) == len(AGENTS)
    static = {member["metadata"]["name"].removeprefix("agent-") for member, spec in pod_specs(case)
              if member["metadata"]["name"].startswith("agent-")}  # fmt: skip
    assert static == {entry["name"] for entry in nodes}
    assert static == {"static-agents": AGENTS, "buildah": {"slipway"}}.get(case.name, set())
    services = {member["metadata"]["name"] for member in members(case) if member["kind"] == "Service"}
    assert {f"agent-{name}" for name in static} <= services


@EVERY_CASE
def test_an_agent_that_runs_all_the_time_waits_for_its_secret_and_the_controller_fills_no_other(
    case: AddonCase,
) -> None:
    stateful = {m["metadata"]["name"]: (m, spec) for m, spec in pod_specs(case) if m["metadata"]["name"] != "jenkins"}
    static = {name.removeprefix("agent-"): found for name, found in stateful.items() if name.startswith("agent-")}
    controller = one(case, "StatefulSet", "jenkins")["spec"]["template"]["spec"]
    (container,) = controller["containers"]
    said = {entry["name"]: entry["value"] for entry in container["env"]}.get("SLIPWAY_AGENTS", "")
    places = dict(entry.split("=") for entry in said.split())
    assert places == {name: f"{m['metadata']['namespace']}/agent-{name}" for name, (m, _) in static.items()}
    mounted = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "init"]
    assert mounted == (["/var/jenkins_home/init.groovy.d"] if static else [])
    for name, (member, spec) in static.items():
        secret = one(case, "Secret", f"agent-{name}")
        assert "data" not in secret and "annotations" not in secret["metadata"]
        assert secret["metadata"]["namespace"] == member["metadata"]["namespace"]
        # A key that is not there yet keeps the pod from starting, and so from failing.
        (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "secret"]
        assert volume["secret"]["items"] == [{"key": "secret", "path": "secret"}]
    allowed = {
        f"{m['metadata']['namespace']}/{name}"
        for m in members(case)
        if m["kind"] == "Role" and m["metadata"]["name"] == "jenkins-agent-secrets"
        for rule in m["rules"]
        for name in rule["resourceNames"]
    }
    assert allowed == set(places.values())


@pytest.mark.parametrize(
    ("case", "minor"),
    [(case, minor) for case, minor in in_minors() if case.addon == "jenkins"],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_agents_on_demand_fit_the_schemas_of_the_api(case: AddonCase, minor: str) -> None:
    (text,) = (
        m["data"]["jenkins.yaml"] for m in members(case, minor) if m["metadata"]["name"] == "jenkins-configuration"
    )
    templates = [one for cloud in yaml.safe_load(text)["jenkins"]["clouds"] for one in cloud["kubernetes"]["templates"]]
    assert bool(templates) == (case.name != "static-agents")
    for template in templates:
        pod = yaml.safe_load(template["yaml"])
        check({**pod, "metadata": {"name": "x", **pod["metadata"]}}, minor)


@EVERY_CASE
def test_agents_on_demand_are_pods_that_their_namespace_admits(case: AddonCase) -> None:
    for cloud in casc(case)["jenkins"]["clouds"]:
        for template in cloud["kubernetes"]["templates"]:
            pod = yaml.safe_load(template["yaml"])
            spec, tools = pod["spec"], template["name"] == "slipway"
            assert template["namespace"] == "jenkins-agents"
            assert spec["automountServiceAccountToken"] == tools
            assert spec["serviceAccountName"] == ("deployer" if tools else "agent")
            assert spec["securityContext"]["runAsUser"] == 1000 and spec["securityContext"]["runAsNonRoot"]
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in [*spec["initContainers"], *spec["containers"]]:
                security = container["securityContext"]
                assert not security["allowPrivilegeEscalation"] and security["capabilities"] == {"drop": ["ALL"]}
                assert container["image"] in images(case_objects(case))
            # Where the plugin would mount a volume of its own, which has no limit.
            (container,) = spec["containers"]
            limits = {volume["name"]: volume.get("emptyDir", {}).get("sizeLimit") for volume in spec["volumes"]}
            here = [m["name"] for m in container["volumeMounts"] if m["mountPath"] == container["workingDir"]]
            assert [limits[name] for name in here] == ["20Gi"]
            caches = [volume for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
            assert bool(caches) == (case.name == "air-gap")


def agents(case: AddonCase) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name of each agent with the spec of its pod, on demand or not."""
    for cloud in casc(case)["jenkins"]["clouds"]:
        for template in cloud["kubernetes"]["templates"]:
            yield template["name"], yaml.safe_load(template["yaml"])["spec"]
    for member, spec in pod_specs(case):
        if member["metadata"]["name"].startswith("agent-"):
            yield member["metadata"]["name"].removeprefix("agent-"), spec


def writable(spec: Mapping[str, Any], path: str) -> bool:
    """Return whether the pod's own container may write below a path."""
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    files = {volume["name"] for volume in spec["volumes"] if {"configMap", "secret"} & set(volume)}
    return any(
        Path(path).is_relative_to(mount["mountPath"]) and not mount.get("readOnly") and mount["name"] not in files
        for mount in container["volumeMounts"]
    )


WRITTEN = ("HOME", "TMPDIR", "GOPATH", "GOMODCACHE", "MAVEN_USER_HOME", "GRADLE_USER_HOME", "NPM_CONFIG_CACHE",
           "PIP_CACHE_DIR", "COMPOSER_CACHE_DIR", "XDG_RUNTIME_DIR")  # fmt: skip


@EVERY_CASE
def test_what_agents_write_to_is_no_folder_of_their_read_only_images(case: AddonCase) -> None:
    shared = case.name == "air-gap"
    names = set()
    for name, spec in agents(case):
        names.add(name)
        said = {entry["name"]: entry["value"] for entry in spec["containers"][0]["env"]}
        # The image of Go says another GOPATH, java knows no HOME and mvnw takes the folder in MAVEN_CONFIG for a goal.
        assert {"HOME", "TMPDIR", "GOPATH", "MAVEN_USER_HOME", "GRADLE_USER_HOME"} <= set(said)
        assert not [key for key in WRITTEN if key in said and not writable(spec, said[key])]
        assert said["MAVEN_CONFIG"] == said["MAVEN_ARGS"]
        words = said["MAVEN_ARGS"].split()
        (repository,) = (word.partition("=")[2] for word in words if word.startswith("-Dmaven.repo.local="))
        assert writable(spec, repository)
        # What several agents write to at once.
        mounts = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        locks = {"-Daether.syncContext.named.factory=file-lock", "-Daether.syncContext.named.nameMapper=file-gav"}
        assert (locks <= set(words)) == shared == ("MAVEN_OPTS" in said) == ("/caches" in mounts)
        assert repository.startswith("/caches/" if shared else said["HOME"])
        assert said.get("MAVEN_OPTS", "").split() == ["-Daether.named.file-lock.deleteLockFiles=false"] * shared
    assert names == AGENTS


def test_buildkit_writes_where_it_may_and_keeps_less_than_its_volume_holds(tmp_path: Path) -> None:
    spec = one(CASES["default"], "Deployment", "buildkitd")["spec"]["template"]["spec"]
    said = {entry["name"]: entry["value"] for entry in spec["containers"][0]["env"]}
    # The image says /run/user/1000 as well, and as TMPDIR /home/user/.local/tmp, which is read-only.
    assert writable(spec, said["TMPDIR"]) and writable(spec, "/run/user/1000")
    assert writable(spec, "/home/user/.local/share/buildkit") and not writable(spec, "/home/user/.local/tmp")
    sizes = {"'50Gi'": 42949, "'100G'": 80000, "200000000000": 160000, "'1.5Ti'": 1319413, "'64Mi'": 53, "'1M'": 1}
    for size, megabytes in sizes.items():
        assert f"--oci-worker-gc-keepstorage=0,0,{megabytes}\n" in texts_of(tmp_path, f"layersSize: {size}"), size


def prepared(root: Path, spec: Mapping[str, Any]) -> None:
    """Run what an agent's pod does before it starts, with a folder in place of its root."""
    text = spec["initContainers"][0]["command"][-1]
    done = subprocess.run(["/bin/sh", "-euc", re.sub(r" /", f" {root}/", text)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with what the images and volumes of an agent hold as it starts."""
    found = tmp_path / "root"
    for name in ("opt/java/openjdk/bin", "usr/share/jenkins", "agent", "home/jenkins", "etc/slipway/sources"):
        (found / name).mkdir(parents=True)
    (found / "opt/java/openjdk/bin/java").write_text("java 1")
    (found / "usr/share/jenkins/agent.jar").write_text("agent")
    for name, text in one(CASES["static-agents"], "ConfigMap", "package-sources", "jenkins-agents")["data"].items():
        (found / "etc/slipway/sources" / name).write_text(text)
    return found


def test_an_agent_that_starts_again_has_the_java_of_its_image_alone(root: Path) -> None:
    for version in ("java 1", "java 2"):
        (root / "opt/java/openjdk/bin/java").write_text(version)
        for _, spec in agents(CASES["static-agents"]):
            prepared(root, spec)
            assert (root / "agent/java/bin/java").read_text() == version
            assert [path.name for path in (root / "agent/java").iterdir()] == ["bin"]


@EVERY_CASE
def test_the_agent_of_php_takes_composer_out_of_its_image(case: AddonCase) -> None:
    held = {
        name: [one["name"] for one in spec["initContainers"] if one["name"] != "trust"] for name, spec in agents(case)
    }
    assert held == {name: ["java", "composer"] if name == "php" else ["java"] for name in AGENTS}
    ((_, taking, *_),) = (spec["initContainers"] for name, spec in agents(case) if name == "php")
    assert taking["command"] == ["/bin/cp", "/usr/bin/composer", "/agent/bin/composer"]
    # The same as Dockerfiles of PHP are built with, so that nothing more is mirrored.
    assert taking["image"].partition("/")[2].endswith(LANGUAGES["php"].build_image.partition("/")[2])
    assert taking["image"] in images(case_objects(case))
    assert taking["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_composer_of_the_agent_of_php_is_found_and_can_unpack(root: Path, tmp_path: Path) -> None:
    (spec,) = (spec for name, spec in agents(CASES["static-agents"]) if name == "php")
    prepared(root, spec)
    # Stands in for java's program, which has the same words.
    jar = root / "agent/java/bin/jar"
    jar.write_text(
        f"#!{sys.executable}\nimport sys, zipfile\n_, how, archive = sys.argv\nassert how == 'xf'\n"
        "zipfile.ZipFile(archive).extractall('.')\n"
    )
    jar.chmod(0o755)
    # What PHP's image has of what is asked for here.
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("mkdir", "realpath"):
        (programs / name).symlink_to(str(shutil.which(name)))
    unzip, composer = root / "agent/bin/unzip", root / "agent/bin/composer"
    unzip.write_text(unzip.read_text().replace("/agent/", f"{root}/agent/"))
    composer.write_text('#!/bin/sh\nexec unzip -qq "$1" -d "$2"\n')
    composer.chmod(0o755)
    with zipfile.ZipFile(tmp_path / "a package.zip", "w") as archive:
        archive.writestr("package-1/src/One.php", "<?php")

    def started(*words: str) -> subprocess.CompletedProcess[str]:
        command = spec["containers"][0]["command"]
        start = [word.replace("/agent/", f"{root}/agent/") for word in command[: command.index("/agent/java/bin/java")]]
        return subprocess.run(
            [*start, *words], cwd=tmp_path, env={"PATH": str(programs)}, capture_output=True, text=True
        )

    done = started("composer", "a package.zip", "vendor/composer/1")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "vendor/composer/1/package-1/src/One.php").read_text() == "<?php"
    asked = started(str(unzip), "-Z1", "a package.zip")
    assert asked.returncode == 10 and "not -Z1" in asked.stderr and "agentImages.php" in asked.stderr


@EVERY_CASE
def test_no_account_reaches_beyond_its_namespaces(case: AddonCase) -> None:
    assert not [member for member in members(case) if member["kind"].startswith("ClusterRole")]
    reach: dict[str, set[str]] = {}
    for member in members(case):
        if member["kind"] == "RoleBinding":
            (subject,) = member["subjects"]
            reach.setdefault(subject["name"], set()).add(member["metadata"]["namespace"])
    environments = {"dev", "live", "shop-prd"} if case.name == "projects" else {
        f"apps-{name}" for name in ("dev", "qa", "pre", "prd")
    }  # fmt: skip
    # What fills the Secret of an agent that runs all the time, and nothing else there.
    builds = {"jenkins-build"} if case.name == "buildah" else set()
    assert reach == {"jenkins": {"jenkins-agents"} | builds, "deployer": environments}


@EVERY_CASE
def test_nothing_is_privileged_or_of_the_host_and_only_builds_are_let_more(case: AddonCase) -> None:
    text = yaml.safe_dump([dict(member) for member in members(case)])
    assert "privileged: true" not in text and "hostPath" not in text and "docker.sock" not in text
    levels = {
        member["metadata"]["name"]: member["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for member in members(case)
        if member["kind"] == "Namespace"
    }
    assert {name for name, level in levels.items() if level != "restricted"} == {"jenkins-build"}
    # Nobody's account may make pods there.
    roles = [m for m in members(case) if m["kind"] == "Role" and m["metadata"]["namespace"] == "jenkins-build"]
    rules = [rule for role in roles for rule in role["rules"]]
    own = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["agent-slipway"], "verbs": ["patch"]}
    assert rules == ([own] if case.name == "buildah" else [])


def test_a_port_that_the_spec_names_is_open_for_who_goes_there() -> None:
    case = CASES["air-gap"]
    found = {
        namespace: [
            rule["port"] for rule in one(case, "NetworkPolicy", "allow-out", namespace)["spec"]["egress"][0]["ports"]
        ]
        for namespace in ("jenkins", "jenkins-agents", "jenkins-build")
    }
    # Library by 8444, plugins by 8445, packages by 8443, checksums by 8446, the scanner's databases by 5001 and 5002.
    assert found == {
        "jenkins": [22, 443, 8444, 8445],
        "jenkins-agents": [22, 25, 80, 443, 465, 587, 5000, 5001, 5002, 8443, 8444, 8446],
        "jenkins-build": [80, 443, 5000, 8443, 8446],
    }


@pytest.mark.parametrize(
    ("minor", "label"), [("1.20", "app.kubernetes.io/name"), ("1.21", "kubernetes.io/metadata.name")]
)
@pytest.mark.parametrize(("addon", "case"), [("jenkins", "static-agents"), ("dashboard", "ingress")])
def test_the_ingress_controller_is_known_by_a_label_that_its_namespace_has(
    addon: str, case: str, minor: str, label: str
) -> None:
    (policy,) = [
        member
        for member in members(AddonCase(addon, case), minor)
        if member["kind"] == "NetworkPolicy" and member["metadata"]["name"] == "allow-ingress-controller"
    ]
    (who,) = policy["spec"]["ingress"][0]["from"]
    assert who == {"namespaceSelector": {"matchLabels": {label: "traefik"}}}


def test_image_builds_get_sources_and_credentials_of_each_language() -> None:
    files = one(CASES["air-gap"], "ConfigMap", "package-sources")["data"]
    assert files["go.env"].splitlines() == [
        "GONOSUMDB=git.example.net/*", "GOPROXY=https://mirror.example.net/go",
        "GOSUMDB=sum.golang.org https://sums.example.net:8446",
    ]  # fmt: skip
    assert files["pip.conf"].splitlines()[1:] == [
        "index-url = https://mirror.example.net:8443/pip", "extra-index-url = https://mirror.example.net/pip-own",
        "trusted-host = mirror.example.net",
    ]  # fmt: skip
    spec = tools_agent(CASES["air-gap"])
    (container,) = spec["containers"]
    said = {entry["name"]: entry["value"] for entry in container["env"]}
    for language in LANGUAGES.values():
        assert language.secret.variable in {"", *said}
        assert language.title == "Java" or set(language.sources) <= set(said)
    # What is named is mounted there.
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "sources"]
    assert said["SLIPWAY_MAVEN_SETTINGS"] == f"{mount['mountPath']}/settings.xml" and "settings.xml" in files
    (plain,) = tools_agent(CASES["default"])["containers"]
    assert "SLIPWAY_MAVEN_SETTINGS" not in {entry["name"] for entry in plain["env"]}
    asked = {entry["file"]["id"] for entry in credentials(CASES["air-gap"]) if "file" in entry}
    assert {"build-netrc", "build-maven", "build-npmrc"} <= asked


def test_languages_of_build_secrets_are_those_of_projects() -> None:
    assert get_args(Language) == get_args(ProjectLanguage)


@pytest.mark.parametrize(
    ("name", "says"), [("registry-push", "push.secret"), ("vm-ssh-key", "virtual machines"), ("ops-git", "git.secret")]
)
def test_no_build_sees_the_credential_of_something_else(name: str, says: str) -> None:
    asked = {**LEAST, "git": {"secret": "ops-git"}, "buildSecrets": {"go": name}}
    with pytest.raises(SpecError, match=rf"buildSecrets.go: {name} is the credential of .*{says}"):
        loaded(addons={"jenkins": asked})


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("goSumDb", ("off", "sum.golang.org", "sums.example.net+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8 https://s.example.net:8446"),
         ("on https://x y", "a b", "https://sums.example.net")),
        ("goNoSumDb", ("git.example.net/*", "*.example.net,a/b"), ("a, b", "git.example.net/$x", "a,")),
    ],
)  # fmt: skip
def test_what_go_is_told_of_checksums(key: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    for text in good:
        assert JenkinsSources.model_validate({key: text}).model_dump(by_alias=True)[key] == text
    for text in bad:
        with pytest.raises(ValidationError):
            JenkinsSources.model_validate({key: text})


def test_only_the_agent_with_the_tools_may_have_images_built() -> None:
    ((rule),) = one(CASES["default"], "NetworkPolicy", "allow-agents", "jenkins-build")["spec"]["ingress"]
    (who,) = rule["from"]
    assert who["podSelector"]["matchLabels"]["slipway.io/agent"] == "slipway"
    assert who["namespaceSelector"]["matchLabels"] == {"app.kubernetes.io/name": "jenkins-agents"}


def test_the_controller_is_as_large_as_asked_and_its_home_is_its_own() -> None:
    spec = one(CASES["air-gap"], "StatefulSet", "jenkins")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"]["requests"] == container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
    claims = {v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v}
    assert claims == {"jenkins-home"}
    caches = one(CASES["air-gap"], "PersistentVolumeClaim", "caches")
    assert caches["metadata"]["namespace"] == "jenkins-agents" and caches["spec"]["accessModes"] == ["ReadWriteMany"]
    (plugins,) = [step for step in spec["initContainers"] if step["name"] == "plugins"]
    environment = {entry["name"]: entry["value"] for entry in plugins["env"]}
    assert environment["JENKINS_UC"] == "https://[fd00::9]:8445/jenkins"


def test_what_builds_images_is_as_large_as_builds_are() -> None:
    found = []
    for case, kind, name in (("default", "Deployment", "buildkitd"), ("buildah", "StatefulSet", "agent-slipway")):
        spec = one(CASES[case], kind, name, "jenkins-build")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        sizes = {volume["name"]: volume.get("emptyDir", {}).get("sizeLimit") for volume in spec["volumes"]}
        found.append((container["resources"]["limits"], sizes.get("layers", sizes.get("home"))))
    assert found == [({"cpu": "4", "memory": "8Gi"}, "50Gi")] * 2


def test_plugins_are_fetched_when_the_list_has_changed_whole_or_not_at_all(tmp_path: Path) -> None:
    plugins = one(CASES["default"], "ConfigMap", "jenkins-plugins")["data"]
    script, listed, home, tools = (tmp_path / name for name in ("fetch.sh", "list", "home", "bin"))
    script.write_text(plugins["fetch.sh"])
    home.mkdir()
    tools.mkdir()
    # It fetches the list's names, and breaks off in the middle where one says so.
    (tools / "jenkins-plugin-cli").write_text(
        '#!/bin/sh\necho "$@" >>"$LOG"\nwhile read -r one; do\n  [ "$one" != broken:1 ] || exit 1\n'
        '  echo "$one" >"$4/${one%%:*}.jpi"\ndone <"$2"\n'
    )
    (tools / "jenkins-plugin-cli").chmod(0o755)
    log = tmp_path / "log"
    log.touch()

    def started(text: str, image: str = "jenkins:1") -> tuple[int, set[str], int]:
        listed.write_text(text)
        words = ["/bin/sh", str(script), str(listed), str(home), image]
        done = subprocess.run(words, env={"PATH": f"{tools}:/usr/bin:/bin", "LOG": str(log)}, capture_output=True)
        return done.returncode, {path.stem for path in home.glob("plugins/*.jpi")}, len(log.read_text().splitlines())

    assert started("git:1\njob-dsl:1\n") == (0, {"git", "job-dsl"}, 1)
    assert started("git:1\njob-dsl:1\n") == (0, {"git", "job-dsl"}, 1)
    assert started("git:2\nbroken:1\n") == (1, {"git", "job-dsl"}, 2)
    assert (home / "plugins/git.jpi").read_text() == "git:1\n"
    assert started("git:2\n") == (0, {"git"}, 3)
    assert started("git:2\n", "jenkins:2") == (0, {"git"}, 4)
    assert {path.name for path in home.iterdir()} == {"plugins"}
    assert "--latest false" in log.read_text()


def test_plugins_are_pinned_and_show_stages() -> None:
    lines = one(CASES["default"], "ConfigMap", "jenkins-plugins")["data"]["plugins.txt"].splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+:[0-9][A-Za-z0-9._-]*", line) for line in lines)
    # What the configuration and the pipeline speak of, by the plugin that knows it.
    spoken = {"configuration-as-code", "job-dsl", "kubernetes", "git", "pipeline-stage-view", "pipeline-groovy-lib",
              "credentials-binding", "plain-credentials", "ssh-credentials", "workflow-basic-steps",
              "workflow-durable-task-step", "pipeline-input-step", "pipeline-stage-step",
              "lockable-resources", "matrix-auth"}  # fmt: skip
    assert spoken <= {line.split(":")[0] for line in lines}
    more = one(CASES["directory"], "ConfigMap", "jenkins-plugins")["data"]["plugins.txt"].splitlines()
    assert [line.split(":")[0] for line in more if line not in lines] == ["ldap"] and set(lines) < set(more)


def test_a_cluster_with_jenkins_carries_the_chart_of_releases() -> None:
    assert [chart.name for chart in charts(case_cluster(CASES["default"]))] == ["app"]
    assert charts(loaded()) == ()


LEAST = {
    "enabled": True,
    "toolsImage": "registry.example.net/ci/tools:1.0.0",
    "library": {"url": "https://git.example.net/slipway.git"},
    "configuration": {"url": "https://git.example.net/ops.git"},
}
KNOBS: dict[str, tuple[str, Any]] = {
    # Each knob: what is said of it in jsonnet, and what is then found somewhere in the objects.
    "image": ("'r.example.net/jenkins:1'", "r.example.net/jenkins:1"),
    "agentImage": ("'r.example.net/agent:1'", "r.example.net/agent:1"),
    "buildkitImage": ("'r.example.net/buildkit:1'", "r.example.net/buildkit:1"),
    "composerImage": ("'r.example.net/composer:1'", "r.example.net/composer:1"),
    "agentImages": ("{ php: 'r.example.net/php:1' }", "r.example.net/php:1"),
    "plugins": ("{ git: '99.1' }", "git:99.1"),
    "resources": ("{ limits+: { memory: '5003Mi' } }", "5003Mi"),
    "agentResources": ("{ limits+: { memory: '5004Mi' } }", "5004Mi"),
    "toolsResources": ("{ limits+: { memory: '5005Mi' } }", "5005Mi"),
    "buildResources": ("{ limits+: { memory: '5006Mi' } }", "5006Mi"),
    "pluginResources": ("{ limits+: { memory: '5007Mi' } }", "5007Mi"),
    "workspaceSize": ("'31Gi'", "31Gi"),
    "layersSize": ("'32Gi'", "32Gi"),
    "agentsAtOnce": ("33", "instanceCap: 33"),
    "executors": ("34", "numExecutors: 34"),
    "libraryPath": ("'vendor/library/'", "vendor/library/"),
    "mavenSettings": ("'<settings><offline/></settings>'", "<offline/>"),
    "configurationPatch": ("{ jenkins: { labelString: 'patched' } }", "labelString: patched"),
    "controllerPorts": ("[35]", "port: 35\n"),
    "agentPorts": ("[36]", "port: 36\n"),
    "buildPorts": ("[37]", "port: 37\n"),
    "deployerRules": ("[{ apiGroups: ['batch'], resources: ['cronjobs'], verbs: ['get'] }]", "cronjobs"),
    "environmentEgress": ("[{ to: [{ ipBlock: { cidr: '10.9.0.0/16' } }] }]", "10.9.0.0/16"),
    "ingressAnnotations": ("{ 'example.net/owner': 'ci' }", "example.net/owner: ci"),
}


def texts_of(tmp_path: Path, knobs: str, **asked: Any) -> str:
    """Return all objects as one text, with what is said of Jenkins in an addons.jsonnet and in cluster.yaml."""
    cluster = loaded(addons={"jenkins": {**LEAST, **asked}})
    own = tmp_path / "clusters" / cluster.name / "addons.jsonnet"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(f"{{ values+:: {{ jenkins+: {{ {knobs} }} }} }}")
    return "".join(value.decode() for _, value in object_files(objects(cluster, RequestMaterial(cluster), tmp_path)))


def test_every_knob_reaches_the_objects(tmp_path: Path) -> None:
    text = (ADDONS / "jenkins.libsonnet").read_text()
    defaults = text.partition("local defaults = {\n")[2].partition("\n};")[0]
    assert set(re.findall(r"^  ([a-zA-Z]+):", defaults, re.MULTILINE)) == set(KNOBS)
    ingress = {"url": "https://ci.example.net", "ingress": {"namespace": "traefik"}}
    static = {"staticAgents": True}
    for more in (ingress, static):
        plain = texts_of(tmp_path, "", **more)
        assert not [name for name, (_, found) in KNOBS.items() if found in plain]
    said = ", ".join(
        f"{name}+: {value}" if value[0] == "{" else f"{name}: {value}" for name, (value, _) in KNOBS.items()
    )
    both = texts_of(tmp_path, said, **ingress) + texts_of(tmp_path, said, **static)
    assert not [name for name, (_, found) in KNOBS.items() if found not in both]


def test_placement_ports_arguments_and_address_are_those_of_the_spec() -> None:
    case = CASES["static-agents"]
    specs = [spec for _, spec in pod_specs(case)]
    assert len(specs) == len(AGENTS) + 2
    assert all(spec["nodeSelector"] == {"kubernetes.io/os": "linux", "role": "ci"} for spec in specs)
    (container,) = one(case, "StatefulSet", "jenkins")["spec"]["template"]["spec"]["containers"]
    said = {entry["name"]: entry["value"] for entry in container["env"]}
    assert said["JAVA_OPTS"] == "-Djenkins.install.runSetupWizard=false -Xmx2g -XX:+UseG1GC"
    assert (said["JENKINS_OPTS"], said["JENKINS_SLAVE_AGENT_PORT"]) == ("--httpPort=8081", "50001")
    ports = {port["name"]: port["port"] for port in one(case, "Service", "jenkins")["spec"]["ports"]}
    assert ports == {"http": 8081, "agent": 50001}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == ports
    found = casc(case)
    assert found["jenkins"]["slaveAgentPort"] == 50001
    assert found["unclassified"]["location"]["url"] == "https://ci.example.net/"
    (agent,) = one(case, "StatefulSet", "agent-go")["spec"]["template"]["spec"]["containers"]
    service = "jenkins.jenkins.svc.cluster.local"
    assert {f"http://{service}:8081", f"{service}:50001"} <= set(agent["command"])
    for cloud in casc(CASES["default"])["jenkins"]["clouds"]:
        for template in cloud["kubernetes"]["templates"]:
            spec = yaml.safe_load(template["yaml"])["spec"]
            assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "app": "jenkins"}


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://git.example.net/a.git", True),
        ("https://git.example.net:8443/a.git", True),
        ("ssh://git@git.example.net:2222/team/a.git", True),
        ("http://git.example.net/a.git", False),
        ("https://git.example.net:84430/a.git", False),
        ("https://ci:word@git.example.net/a.git", False),
        ("ext::sh -c id", False),
    ],
)
def test_which_repositories_jenkins_is_given(url: str, good: bool) -> None:
    if good:
        assert JenkinsRepository.model_validate({"url": url}).url == url
    else:
        with pytest.raises(ValidationError, match="is no git URL without password") as caught:
            JenkinsRepository.model_validate({"url": url})
        assert "word" not in str(caught.value).replace("without password", "").partition("[type")[0]


def test_what_is_doubtful_is_said() -> None:
    asked: dict[str, Any] = dict(LEAST)
    cluster = loaded(addons={"jenkins": asked})
    texts = [warning for warning in cluster.warnings if "jenkins" in warning]
    assert not any("by SSH" in text for text in texts)
    asked["library"] = {"url": "ssh://git@git.example.net/slipway.git"}
    assert any("no host key of its server is known" in text for text in loaded(addons={"jenkins": asked}).warnings)
    for part in ("no registry to push to", "no node has the labels app=jenkins", "nothing will bind this claim"):
        assert any(part in text for text in texts), part
    assert any("enforces no NetworkPolicy" in text for text in texts) == (cluster.network.plugin == "bridge")
