"""Jenkins: what its configuration says, how far each account reaches, and what is kept apart.

JCasC has no schema without a running controller: tests/addons/casc_keys.py has the keys that public sources show.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError

from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.render.charts import charts
from generator.render.objects import ADDONS, images, object_files, objects
from generator.spec.addons.jenkins import JenkinsRepository
from tests.addons.casc_keys import strange
from tests.addons.cases import members, pod_specs
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
    assert read | {"admin"} == sealed and text.count("$") == text.count("$(JENKINS_") + len(read)
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


@EVERY_CASE
def test_agents_on_demand_are_pods_that_their_namespace_admits(case: AddonCase) -> None:
    for cloud in casc(case)["jenkins"]["clouds"]:
        for template in cloud["kubernetes"]["templates"]:
            pod = yaml.safe_load(template["yaml"])
            kubernetes_validate.validate({**pod, "metadata": {"name": "x", **pod["metadata"]}}, "1.30", strict=True)
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
    # Library by 8444, plugins by 8445, packages by 8443, the scanner's databases by 5001 and 5002.
    assert found == {
        "jenkins": [22, 443, 8444, 8445],
        "jenkins-agents": [22, 25, 80, 443, 465, 587, 5000, 5001, 5002, 8443, 8444],
        "jenkins-build": [80, 443, 5000, 8443],
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
    environment = {entry["name"]: entry["value"] for entry in spec["initContainers"][0]["env"]}
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
