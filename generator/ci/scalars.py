"""The kinds of text that a project file is made of, each with its own check and message."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from generator.spec.scalars import DNS_LABEL, complaint, is_subdomain, matching

_IMAGE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:[0-9]{1,5})?)/(?P<path>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_SSH_URL = re.compile(r"ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9.-]+(:[0-9]{1,5})?/[A-Za-z0-9._~/+@-]+")
_SCP_URL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9.-]+:[A-Za-z0-9._~/+-]+")
_HTTPS_URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[A-Za-z0-9._~/+@%-]+")
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@/-]{0,199}")
_PATH_PART = re.compile(r"[A-Za-z0-9._@+-]+")
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_LONGEST_NAMESPACE = 59
_SMALLEST_MEMORY = 2**20
_SCALE = {
    "m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9),
    "T": Fraction(10**12), "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40),
}  # fmt: skip


def quantity(text: str) -> Fraction:
    """Return a quantity of Kubernetes as a number: cores, or bytes; raises ValueError where the text is none."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return Fraction(match[1]) * _SCALE[match[2] or ""]


def image_parts(text: str) -> tuple[str, str, str] | None:
    """Return repository, tag and digest of an image with its registry; None for what is none, or is not fixed."""
    match = _IMAGE.fullmatch(text)
    if match is None or not _is_host(match["host"]) or (match["tag"] in {None, "latest"} and match["digest"] is None):
        return None
    return f"{match['host']}/{match['path']}", match["tag"] or "", match["digest"] or ""


def _is_host(text: str) -> bool:
    # As the container runtimes tell a registry from the first part of a path.
    return "." in text or ":" in text or text == "localhost"


def _number_as_text(value: Any) -> Any:
    # 2 and 0.5 are cores, and people write them so.
    return str(value) if type(value) in {int, float} else value


def _cpu(text: str) -> str:
    if _QUANTITY.fullmatch(text) and not text.endswith("i") and quantity(text) > 0:
        return text
    raise complaint(f"{text!r} is no number of cores", 'write cores or thousandths of one, like "0.5" or 500m')


def _memory(text: str) -> str:
    if _QUANTITY.fullmatch(text) and not text.endswith("m") and quantity(text) > 0:
        if quantity(text) >= _SMALLEST_MEMORY:
            return text
        unit = f"write it with its unit, like {text}Mi" if text.isdigit() else "write it like 128Mi or 2Gi"
        raise complaint(f"{text!r} is less than a mebibyte, in which no program starts", unit)
    raise complaint(f"{text!r} is no amount of memory", "write it like 128Mi or 2Gi")


def _git_url(text: str) -> str:
    if re.match(r"[a-z]+://[^/]*:[^/@]*@", text) or re.match(r"https?://[^/]*@", text):
        raise complaint(
            "the URL holds a user, password or token, and this file is read by everybody who reviews it",
            "leave it out: Jenkins fetches with its own credential",
        )
    if any(one.fullmatch(text) for one in (_HTTPS_URL, _SSH_URL, _SCP_URL)) and ".." not in text:
        return text
    if text.startswith("http://"):
        raise complaint("the URL is plain http, and what it fetches is built and run", "write https:// or ssh://")
    # The URL is not repeated: what stands behind a ? may be a token.
    raise complaint(
        "is not a git URL without options",
        "write https://HOST/PATH or ssh://git@HOST/PATH, like https://git.example.net/a",
    )


def _branch(text: str) -> str:
    # What git check-ref-format refuses, and what would read as an option.
    parts = text.split("/")
    bad = any(not part or part.startswith(".") or part.endswith((".lock", ".")) for part in parts)
    if _BRANCH.fullmatch(text) and not bad and ".." not in text and "@{" not in text:
        return text
    raise complaint(f"{text!r} is not a branch or tag", "write it as git does, like main or release/1.4")


def _in_repository(text: str) -> str:
    parts = text.split("/")
    if not text.startswith("/") and all(_PATH_PART.fullmatch(part) and part not in {".", ".."} for part in parts):
        return text
    raise complaint(
        f"{text!r} is not a plain path inside the repository",
        "write it relative to the repository, of letters, digits and . _ @ + -, like bin/hello",
    )


def _writable(text: str) -> str:
    parts = text.split("/")[1:]
    if text == "/":
        raise complaint("'/' would make all of the container writable", "name the folders that the program writes to")
    if text.startswith("/") and all(_PATH_PART.fullmatch(part) and part not in {".", ".."} for part in parts):
        return text
    raise complaint(
        f"{text!r} is not a plain absolute path", "write it from / on, without a slash at the end, like /var/cache/app"
    )


def _url_path(text: str) -> str:
    if re.fullmatch(r"/[!-~]*", text) and not set(text) & set("\"'`\\<>{}|^"):
        return text
    what = "does not begin with /" if not text.startswith("/") else "is not a path of a URL"
    raise complaint(f"{text!r} {what}", "write it as a request does, like /healthz")


def _image(text: str) -> str:
    match = _IMAGE.fullmatch(text)
    if match is None or not _is_host(match["host"]):
        raise complaint(
            f"{text!r} is not an image with its registry",
            "write it whole, like docker.io/library/golang:1.26.4-bookworm",
        )
    if image_parts(text) is None:
        raise complaint(
            f"{text!r} names no fixed image", "add a tag other than latest, or a digest, so that a build repeats itself"
        )
    return text


def _domain(text: str) -> str:
    if is_subdomain(text) and "." in text:
        return text
    raise complaint(f"{text!r} is not a DNS name", "write lower-case labels joined by dots, like hello.example.net")


def _object_name(text: str) -> str:
    if is_subdomain(text):
        return text
    raise complaint(f"{text!r} is not the name of an object", "write lower-case letters, digits, hyphens and dots")


def _day(text: str) -> str:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            date.fromisoformat(text)
            return text
    except ValueError:
        pass
    raise complaint(f"{text!r} is not a date", "write year, month and day, like 2026-12-31")


def _no_control(text: str) -> str:
    for char in text:
        if (ord(char) < 32 and char not in "\n\t") or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF:
            raise complaint(f"holds the control character U+{ord(char):04X}", "take it out")
    return text


def _namespace(text: str) -> str:
    if len(text) > _LONGEST_NAMESPACE:
        raise complaint(
            f"is longer than {_LONGEST_NAMESPACE} letters", "shorten it: a hyphen and the environment follow, 63 in all"
        )
    if DNS_LABEL.fullmatch(text):
        return text
    raise complaint(f"{text!r} is not a DNS-1123 label", "use lower-case letters, digits and hyphens")


def _credential(text: str) -> str:
    if "/" in text:
        raise complaint(
            "holds a URL, and whoever knows that of a webhook can write to it",
            "put it into a credential of Jenkins and write that one's id here",
        )
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text):
        return text
    raise complaint(f"{text!r} is not the id of a credential", "write the id that the credential has in Jenkins")


def _filled(value: list[Any]) -> list[Any]:
    if value:
        return value
    raise complaint("is empty", "list one at least, or take the key out")


def _written(text: str) -> str:
    if text.strip():
        return _no_control(text)
    raise complaint("is empty text", "write something, or take the key out")


def _person(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9.!#$&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", text) and is_subdomain(
        text.rpartition("@")[2].lower()
    ):
        return text
    raise complaint(f"{text!r} is not a mail address", "write it like team@example.net")


def _not_root(value: int) -> int:
    if value == 0:
        raise complaint("0 is root, and containers here never run as root", "write another id, such as 10001")
    return value


_variable = matching(
    re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}"),
    "is not the name of an environment variable",
    "use letters, digits and underscores, like LOG_LEVEL",
)
_waiver = matching(
    re.compile(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)+"),
    "is not the id of a vulnerability",
    "write it as the scanner does, like CVE-2026-0001",
)


Cpu = Annotated[str, BeforeValidator(_number_as_text, json_schema_input_type=float | str), AfterValidator(_cpu)]
Memory = Annotated[str, BeforeValidator(_number_as_text, json_schema_input_type=int | str), AfterValidator(_memory)]
GitUrl = Annotated[str, AfterValidator(_git_url)]
Branch = Annotated[str, AfterValidator(_branch)]
RepositoryPath = Annotated[str, AfterValidator(_in_repository)]
WritablePath = Annotated[str, AfterValidator(_writable)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
FixedImage = Annotated[str, AfterValidator(_image)]
DomainName = Annotated[str, AfterValidator(_domain)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
Day = Annotated[str, AfterValidator(_day)]
PlainText = Annotated[str, AfterValidator(_no_control)]
Written = Annotated[str, AfterValidator(_written)]
MailAddress = Annotated[str, AfterValidator(_person)]
VariableName = Annotated[str, AfterValidator(_variable)]
WaiverId = Annotated[str, AfterValidator(_waiver)]
CredentialId = Annotated[str, AfterValidator(_credential)]
NamespacePrefix = Annotated[str, AfterValidator(_namespace)]
Words = Annotated[list[PlainText], AfterValidator(_filled), Field(max_length=100)]
Outcomes = Annotated[list[Literal["success", "failure"]], AfterValidator(_filled)]
UserId = Annotated[int, AfterValidator(_not_root), Field(ge=0, le=2147483647)]
