"""Project files that tests begin with."""

from __future__ import annotations

from typing import Any

import yaml

from generator.ci.project import Project, load_project
from generator.errors import Fault, SpecError
from generator.spec.yaml_source import read_document

PLAIN = """
apiVersion: slipway.io/v1
kind: Project
metadata: {name: hello}
git: {url: "https://git.example.net/team/hello.git"}
language: go
environments:
  dev: {domain: hello.dev.example.net}
  prd: {domain: hello.example.net, tls: {secret: hello-tls}}
"""

EVERYTHING = """
apiVersion: slipway.io/v1
kind: Project
metadata: {name: hello}
namespace: shop
git: {url: "ssh://git@git.example.net/team/hello.git", branch: release/1.4}
language: python
deploy: container
build: {command: make all, artifact: dist, image: "registry.example.net/build/python:3.12@sha256:%s"}
run:
  command: [python, -m, hello]
  port: 9000
  writable: [/tmp, /var/cache/hello]
  env: {LOG_LEVEL: info, GREETING: "hello $USER"}
  secrets: [hello-db]
  image: registry.example.net/run/python:3.12
  user: 20001
health: {path: /healthz, port: 9001, initialDelaySeconds: 0, periodSeconds: 5, timeoutSeconds: 2}
resources: {requests: {cpu: 0.5, memory: 64Mi}, limits: {cpu: 2, memory: 1Gi}}
scaling: {replicas: 3, min: 2, max: 6, cpuPercent: 70}
docker: {healthcheck: true}
chart: {path: deploy/chart, values: deploy/values.yaml}
environments:
  prd: {domain: hello.example.net, tls: {secret: hello-tls}, ingressClass: nginx}
  dev:
    domain: hello.dev.example.net
    scaling: {replicas: 1, max: null}
    resources: {requests: {cpu: null}, limits: {cpu: null, memory: 512Mi}}
    env: {LOG_LEVEL: debug, GREETING: null, EXTRA: "1"}
    secrets: []
notify:
  - {kind: dingtalk, secret: hello-dingtalk, signingSecret: hello-dingtalk-key, on: [failure]}
  - {kind: mail, to: [team@example.net]}
waivers: [{id: CVE-2026-0001, until: 2026-12-31, reason: the path is not reached}]
""" % ("0" * 64)

MACHINES = """
apiVersion: slipway.io/v1
kind: Project
metadata: {name: hello}
git: {url: "https://git.example.net/team/hello.git"}
language: java
deploy: vm
run: {command: [java, -Xmx256m, -jar, hello.jar]}
health: {path: /healthz}
vm: {user: hello, directory: /opt/hello, keep: 5, unit: {Service: {LimitNOFILE: 65536}, Unit: {After: [redis.service]}}}
environments:
  prd: {hosts: [vm-1.example.net, 10.0.0.5, "fd00::5"], env: {LOG_LEVEL: info}}
"""


def data_of(text: str) -> dict[str, Any]:
    """Return what a text holds as the loader reads it: `on` is a key like any other, and a date is text."""
    found: dict[str, Any] = read_document(text, "project.yaml")[0].data
    return found


def sample(text: str = PLAIN, **changes: Any) -> Project:
    """Return the project of a text with some of its top keys replaced."""
    return load_project(yaml.safe_dump({**data_of(text), **changes}, sort_keys=False))


def faults_of(text: str = PLAIN, **changes: Any) -> tuple[Fault, ...]:
    """Return the faults of such a text."""
    try:
        sample(text, **changes)
    except SpecError as error:
        return error.faults
    return ()
