"""A kubeconfig on a host holds paths and no key."""

from __future__ import annotations

import yaml

from generator.formats.kubeconfig import kubeconfig_text


def test_credentials_are_named_by_path() -> None:
    text = kubeconfig_text(
        server="https://127.0.0.1:6443",
        certificate_authority="/etc/kubernetes/pki/ca.crt",
        user="system:kube-scheduler",
        client_certificate="/etc/kubernetes/pki/scheduler.crt",
        client_key="/etc/kubernetes/pki/scheduler.key",
        cluster="prod",
    )
    config = yaml.safe_load(text)
    assert config["current-context"] == config["contexts"][0]["name"] == "system:kube-scheduler@prod"
    assert config["contexts"][0]["context"] == {"cluster": "prod", "user": "system:kube-scheduler"}
    assert config["clusters"][0]["cluster"] == {
        "certificate-authority": "/etc/kubernetes/pki/ca.crt",
        "server": "https://127.0.0.1:6443",
    }
    assert config["users"][0]["user"] == {
        "client-certificate": "/etc/kubernetes/pki/scheduler.crt",
        "client-key": "/etc/kubernetes/pki/scheduler.key",
    }
    assert "-data" not in text and "token" not in text
