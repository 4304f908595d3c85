"""What each language brings along: the images that build and run it, and what stands where a project says nothing.

Versions were seen as tags of the official images: https://hub.docker.com/_/golang, _/maven, _/eclipse-temurin, _/php,
_/composer, _/node, _/python. A project pins others, or digests, with build.image and run.image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.ci.schema import Language

SCRATCH = "scratch"
"""The empty image: what a static program needs is copied into it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A file that a build reads and that no layer keeps: `--secret id=ID,src=FILE` of BuildKit and buildah.

    `variable` names such a file on the machine that builds, where sources without credentials are one file as well.
    """

    id: str
    target: str
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What stands where a project says nothing.

    `machine_build` is what `ci.new` suggests for virtual machines, where a build brings along what the program needs.

    {name} is the project's name, {artifact} the last part of the artifact's path, {folder} where it lies when it runs.

    `sources` are the build arguments that say where packages come from, as the language's own tools name them; without
    them the tools ask where they always do. `secret` is the file with the credentials for that. `asks` is a program of
    the run image that ends with 0 where port PORT answers well; PORT, and PATH for HTTP, follow as its last arguments.
    Empty: the image has none.
    """

    title: str
    build_image: str
    run_image: str
    build: str | None
    artifact: str | None
    run: tuple[str, ...]
    run_example: str
    sources: tuple[str, ...]
    secret: Secret
    machine_build: str | None = None
    asks: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


_ASK_NODE = (
    "const [port, path] = process.argv.slice(1);"
    "const socket = () => require('net').connect(port, '127.0.0.1').on('connect', () => process.exit(0))"
    ".on('error', () => process.exit(1));"
    "path ? fetch(`http://127.0.0.1:${port}${path}`).then(r => process.exit(r.status < 400 ? 0 : 1), "
    "() => process.exit(1)) : socket()"
)
_ASK_PYTHON = (
    "import sys, socket, urllib.request as r; p = sys.argv[1:]; "
    "r.urlopen(f'http://127.0.0.1:{p[0]}{p[1]}') if p[1:] else socket.create_connection(('127.0.0.1', int(p[0])))"
)
_ASK_PHP = (
    "$p = array_slice($argv, 1); $c = stream_context_create(['http' => ['ignore_errors' => false]]); "
    "exit((isset($p[1]) ? @file_get_contents('http://127.0.0.1:' . $p[0] . $p[1], false, $c) !== false "
    ": @fsockopen('127.0.0.1', (int) $p[0]) !== false) ? 0 : 1);"
)

LANGUAGES: Mapping[Language, Defaults] = {
    "go": Defaults(
        title="Go",
        build_image="docker.io/library/golang:1.26.4-bookworm",
        run_image=SCRATCH,
        # The zones of the world go into the program, since scratch has none; without C it runs on any system.
        build="CGO_ENABLED=0 go build -trimpath -tags timetzdata -o bin/{name} .",
        artifact="bin/{name}",
        run=("{folder}/{artifact}",),
        run_example="[/app/hello]",
        # https://go.dev/ref/mod#environment-variables
        sources=("GOPROXY", "GOSUMDB", "GONOSUMDB"),
        secret=Secret("netrc", "/root/.netrc"),
        ignored=("bin/",),
    ),
    "java": Defaults(
        title="Java",
        build_image="docker.io/library/maven:3.9.11-eclipse-temurin-21",
        run_image="docker.io/library/eclipse-temurin:21.0.9_10-jre",
        build="mvn --batch-mode --no-transfer-progress package",
        artifact="target/{name}.jar",
        run=("java", "-jar", "{folder}/{artifact}"),
        run_example="[java, -jar, /app/hello.jar]",
        # https://maven.apache.org/settings.html: sources and credentials are one file.
        sources=(),
        secret=Secret("maven-settings", "/root/.m2/settings.xml", "SLIPWAY_MAVEN_SETTINGS"),
        ignored=("target/", "build/", ".gradle/", "**/*.class"),
    ),
    "php": Defaults(
        title="PHP",
        build_image="docker.io/library/composer:2.8.11",
        run_image="docker.io/library/php:8.4.12-fpm",
        build=None,
        artifact=None,
        run=("php-fpm", "--nodaemonize"),
        run_example="[php, -S, '0.0.0.0:8080', -t, public]",
        machine_build="composer install --no-dev --prefer-dist --no-progress --optimize-autoloader",
        # https://getcomposer.org/doc/articles/authentication-for-private-packages.md; there is no variable for a
        # mirror, the Dockerfile writes this one into Composer's settings.
        sources=("COMPOSER_REPOSITORY",),
        secret=Secret("composer-auth", "/composer/auth.json"),
        asks=("php", "-r", _ASK_PHP, "--"),
        ignored=("vendor/", "storage/logs/"),
    ),
    "nodejs": Defaults(
        title="Node.js",
        build_image="docker.io/library/node:22.22.2-bookworm-slim",
        run_image="docker.io/library/node:22.22.2-bookworm-slim",
        build=None,
        artifact=None,
        run=(),
        run_example="[node, server.js]",
        machine_build="npm ci --omit=dev --no-audit --no-fund",
        # npm reads every setting of its own from NPM_CONFIG_<name> (npm help config); yarn reads the same.
        sources=("NPM_CONFIG_REGISTRY",),
        secret=Secret("npmrc", "/root/.npmrc"),
        asks=("node", "-e", _ASK_NODE, "--"),
        ignored=("node_modules/", "npm-debug.log*", "coverage/"),
    ),
    "python": Defaults(
        title="Python",
        build_image="docker.io/library/python:3.12.12-slim",
        run_image="docker.io/library/python:3.12.12-slim",
        build=None,
        artifact=None,
        run=(),
        run_example="[python, -m, hello]",
        # Beside the program, in the folder in which it is started, so Python finds them there.
        machine_build="python3 -m pip install --target . --requirement requirements.txt",
        # https://pip.pypa.io/en/stable/topics/configuration/#environment-variables
        sources=("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST"),
        secret=Secret("pip-conf", "/etc/pip.conf"),
        asks=("python", "-c", _ASK_PYTHON),
        ignored=("**/__pycache__/", "**/*.pyc", ".venv/", "venv/", ".pytest_cache/", ".mypy_cache/", "*.egg-info/"),
    ),
}
"""Defaults by language."""

PHP_CLI_IMAGE = "docker.io/library/php:8.4.12-cli"
"""What PHP runs on where run.command names a server of the project's own, in place of php-fpm."""
