"""The keys of Jenkins' configuration as code that ours may have, each as a public source writes it.

There is no schema to download: a running controller makes it from its plugins. So this is what their demos, tests and
setters show: a map of keys, a list of one kind of entry, or None for a plain value.

demos: https://github.com/jenkinsci/configuration-as-code-plugin/tree/master/demos
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# demos/credentials/credentials.yaml
CREDENTIAL = {
    "file": {"scope": None, "id": None, "description": None, "fileName": None, "secretBytes": None},
    "basicSSHUserPrivateKey": {
        "scope": None,
        "id": None,
        "description": None,
        "username": None,
        "privateKeySource": {"directEntry": {"privateKey": None}},
    },
    "usernamePassword": {"scope": None, "id": None, "description": None, "username": None, "password": None},
}
# @DataBoundConstructor and @DataBoundSetter of PodTemplate (https://github.com/jenkinsci/kubernetes-plugin)
TEMPLATE = {
    "id": None,
    "name": None,
    "label": None,
    "namespace": None,
    "nodeUsageMode": None,
    "instanceCap": None,
    "slaveConnectTimeout": None,
    "showRawYaml": None,
    "yamlMergeStrategy": None,
    "yaml": None,
}
# templates/_helpers.tpl of https://github.com/jenkinsci/helm-charts
CLOUD = {
    "name": None,
    "serverUrl": None,
    "namespace": None,
    "jenkinsUrl": None,
    "jenkinsTunnel": None,
    "containerCapStr": None,
    "connectTimeout": None,
    "readTimeout": None,
    "retentionTimeout": None,
    "templates": [TEMPLATE],
}
# demos/build_agents; `inbound` is a symbol of JNLPLauncher (https://github.com/jenkinsci/jenkins), `always` one of the
# strategy, and neither needs more.
NODE = {
    "name": None,
    "labelString": None,
    "mode": None,
    "numExecutors": None,
    "remoteFS": None,
    "retentionStrategy": None,
    "launcher": None,
}
# @DataBoundConstructor and @DataBoundSetter of DefinitionEntry and of its Child, whose kinds are alike
# (https://github.com/jenkinsci/matrix-auth-plugin, integrations/casc), and demos/global-matrix-auth
GRANTED = {"name": None, "permissions": [None]}
KEYS: dict[str, Any] = {
    # demos/jenkins/jenkins.yaml, demos/embedded-userdatabase
    "jenkins": {
        "systemMessage": None,
        "numExecutors": None,
        "mode": None,
        "slaveAgentPort": None,
        "markupFormatter": None,
        "securityRealm": {
            "local": {"allowsSignup": None, "users": [{"id": None, "password": None}]},
            # demos/ldap
            "ldap": {"configurations": [{"server": None, "rootDN": None}]},
        },
        "authorizationStrategy": {"globalMatrix": {"entries": [{"user": GRANTED, "group": GRANTED}]}},
        "nodes": [{"permanent": NODE}],
        "clouds": [{"kubernetes": CLOUD}],
    },
    "credentials": {"system": {"domainCredentials": [{"credentials": [CREDENTIAL]}]}},
    # demos/git-client/README-ssh-host-key-configuration.md
    "security": {
        "gitHostKeyVerificationConfiguration": {
            "sshHostKeyVerificationStrategy": {"manuallyProvidedKeyVerificationStrategy": {"approvedHostKeys": None}}
        }
    },
    "unclassified": {
        "location": {"url": None, "adminAddress": None},
        # demos/pipeline-groovy-lib, and @DataBoundSetter of LibraryConfiguration and of SCMBasedRetriever
        # (https://github.com/jenkinsci/pipeline-groovy-lib-plugin)
        "globalLibraries": {
            "libraries": [
                {
                    "name": None,
                    "defaultVersion": None,
                    "allowVersionOverride": None,
                    "implicit": None,
                    "retriever": {
                        "modernSCM": {"scm": {"git": {"remote": None, "credentialsId": None}}, "libraryPath": None}
                    },
                }
            ]
        },
    },
    # demos/jobs/pipeline.yaml
    "jobs": [{"script": None}],
}


def strange(found: Any, known: Any = KEYS, at: str = "") -> Iterator[str]:
    """Yield where a configuration has a key that is not known, or another kind of value than is known there."""
    if isinstance(known, dict):
        if not isinstance(found, dict):
            yield f"{at}: no map"
            return
        for key, value in found.items():
            here = f"{at}.{key}".lstrip(".")
            yield from [here] if key not in known else strange(value, known[key], here)
    elif isinstance(known, list):
        if not isinstance(found, list):
            yield f"{at}: no list"
            return
        for index, value in enumerate(found):
            yield from strange(value, known[0], f"{at}[{index}]")
    elif isinstance(found, dict | list):
        yield f"{at}: no plain value"
