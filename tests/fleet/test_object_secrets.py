"""Rendered Secrets: compared by id with nothing opened, filled only where they are written, never shown."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from fleet import objects
from fleet.kube import Api
from fleet.object_diff import text_diff
from fleet.object_secrets import ANNOTATION, masked, slots
from fleet.object_sets import SET_LABEL, ObjectSet
from fleet.secrets import SecretStore
from generator.errors import ApiError, PkiError, SealingError, StaleTreeError
from generator.pki.keys import key_pem, new_key, private_key_id
from generator.render import object_secrets
from generator.sealing import Identity, create_identity, load_identity, parse_recipient, seal, sealed_path
from tests.fleet.object_store import ObjectStore, Run, refusal

VALUE = "correct horse battery"
HIDDEN = base64.b64encode(VALUE.encode()).decode()


class Sealed:
    """A cluster's folder with sealed secrets, and how often the identity was asked for."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder / "clusters" / "demo"
        self.dir.mkdir(parents=True)
        self.asked = 0
        self._path = folder / "identity"
        self._recipient = parse_recipient(create_identity(self._path))
        self.put("addons/token", VALUE.encode())

    def put(self, name: str, value: bytes) -> None:
        path = sealed_path(self.dir, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(seal(value, [self._recipient]))

    @property
    def store(self) -> SecretStore:
        def identity() -> Identity:
            self.asked += 1
            return load_identity({"SLIPWAY_IDENTITY": str(self._path)})

        return SecretStore(self.dir, identity)


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return Sealed(tmp_path)


def secret_set(id_: str = "1111", *, lines: str | None = None, **plain: str) -> ObjectSet:
    text = f"token addons/token {id_}" if lines is None else lines
    metadata = {"name": "s", "namespace": "x", "labels": {SET_LABEL: "60-s"}, "annotations": {ANNOTATION: text}}
    value = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": dict(plain)}
    return ObjectSet("60-s", (value,))


def told(changes: tuple[objects.Difference, ...]) -> str:
    return "\n".join(line for change in changes for line in change.diff)


def test_a_value_is_opened_only_where_its_secret_is_written(run: Run, store: ObjectStore, sealed: Sealed) -> None:
    async def action(api: Api) -> None:
        means = objects.Means(sealed.store)
        planned = await objects.differences(api, secret_set())
        assert [change.action for change in planned] == ["create"] and "token: (not shown, changed)" in told(planned)
        assert sealed.asked == 0, "a plan opens nothing"
        changes = await objects.apply_set(api, secret_set(), means=means)
        assert HIDDEN not in told(changes) and VALUE not in told(changes)
        assert store.get("Secret", "s", "x")["data"] == {"token": HIDDEN}
        assert sealed.asked == 1
        assert await objects.apply_set(api, secret_set(), means=objects.Means(sealed.store)) == ()
        assert await objects.unaccepted(api, secret_set()) == ()
        assert sealed.asked == 1, "an apply that changes nothing opens nothing"

    run(action)


def test_another_id_and_a_missing_key_are_seen_without_a_value(run: Run, store: ObjectStore, sealed: Sealed) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, secret_set(), means=objects.Means(sealed.store))
        planned = await objects.differences(api, secret_set("2222"))
        assert [change.action for change in planned] == ["change"]
        assert "-    slipway.io/secrets: token addons/token 1111" in told(planned)
        assert "+    slipway.io/secrets: token addons/token 2222" in told(planned)
        assert HIDDEN not in told(planned)
        live = store.get("Secret", "s", "x")
        live["data"] = {}
        assert [change.action for change in await objects.differences(api, secret_set())] == ["change"]
        live["data"] = {"token": HIDDEN, "more": "eA=="}
        assert await objects.differences(api, secret_set()) == (), "a key of somebody else is left to him"
        assert await objects.unaccepted(api, secret_set("2222")) == ("Secret x/s is not as rendered",)
        assert sealed.asked == 1

    run(action)


def test_what_cannot_be_opened_is_told_before_anything_is_written(run: Run, store: ObjectStore, sealed: Sealed) -> None:
    missing = secret_set(lines="token addons/gone 1111")

    async def action(api: Api) -> None:
        with pytest.raises(SealingError, match="secret addons/gone is not sealed"):
            await objects.apply_set(api, missing, means=objects.Means(sealed.store))
        with pytest.raises(ApiError, match="needs sealed secrets"):
            await objects.apply_set(api, secret_set())
        assert store.asked == []

    run(action)


def test_the_value_is_the_one_that_was_rendered(sealed: Sealed) -> None:
    (sealed.dir / "secrets" / "index.yaml").write_text('secrets:\n  addons/token: "1111"\n')
    assert sealed.store.value("addons/token", "1111") == VALUE.encode()
    with pytest.raises(PkiError, match="has id 1111, the rendered tree says 2222"):
        sealed.store.value("addons/token", "2222")
    key = key_pem(new_key("ecdsa-p256"))
    sealed.put("pki/addons/metrics-server", key)
    assert sealed.store.value("pki/addons/metrics-server", private_key_id(key, "x")) == key
    with pytest.raises(PkiError, match="the rendered tree says 0000"):
        sealed.store.value("pki/addons/metrics-server", "0000")


def test_values_are_in_no_error_whoever_quotes_them(run: Run, store: ObjectStore, sealed: Sealed) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, secret_set(), means=objects.Means(sealed.store))
        quoting = f'admission webhook "w" denied the request: token {HIDDEN} is {VALUE}'
        store.refuse = lambda seen: (
            refusal(400, quoting) if seen.method == "PATCH" and "secrets" in seen.target else None
        )
        planned = await objects.differences(api, secret_set("2222"))
        assert [change.action for change in planned] == ["refused"]
        assert "token (not shown) is (not shown)" in told(planned)
        with pytest.raises(ApiError) as caught:
            await objects.apply_set(api, secret_set("2222"), means=objects.Means(sealed.store))
        assert HIDDEN not in str(caught.value) and VALUE not in str(caught.value)

    run(action)


def test_values_of_secrets_that_are_not_ours_are_not_shown(run: Run, store: ObjectStore) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "x"},
        "data": {"token": HIDDEN},
    }
    store.put(theirs)

    async def action(api: Api) -> None:
        said = f'Apply failed with 1 conflict: conflict with "kubectl" using v1: .data.token {HIDDEN}'
        store.refuse = lambda seen: refusal(409, said, "Conflict") if seen.method == "PATCH" else None
        (found,) = await objects.differences(api, secret_set())
        assert found.action == "refused" and "is not Slipway's" in found.diff[0]
        assert HIDDEN not in found.diff[0]

    run(action)


def test_credentials_without_the_right_to_read_secrets_say_so(run: Run, store: ObjectStore) -> None:
    said = 'secrets "s" is forbidden: User "ci" cannot get resource "secrets" in API group ""'
    store.refuse = lambda seen: refusal(403, said, "Forbidden") if "/secrets" in seen.target else None

    async def action(api: Api) -> None:
        (found,) = await objects.differences(api, secret_set())
        assert (found.action, found.diff) == ("note", ("these credentials may not read it, so it is not compared",))
        with pytest.raises(ApiError, match="cannot get resource"):
            await objects.apply_set(api, secret_set())

    run(action)


def test_copies_in_an_annotation_are_not_shown() -> None:
    def secret(value: str) -> dict[str, Any]:
        kept = {"kubectl.kubernetes.io/last-applied-configuration": f'{{"data":{{"token":"{value}"}}}}'}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "annotations": kept},
            "data": {"a": value},
        }

    lines = "\n".join(text_diff(secret("Z2VoZWlt"), secret("bmV1ZXM=")))
    assert "Z2VoZWlt" not in lines and "bmV1ZXM=" not in lines and "a: (not shown, changed)" in lines
    assert "Z2VoZWlt" not in "\n".join(text_diff(secret("Z2VoZWlt"), {"metadata": {"name": "s"}}))


def test_short_values_and_lines_of_long_ones_are_masked() -> None:
    value = {
        "kind": "Secret",
        "stringData": {"pin": "42"},
        "data": {"key": base64.b64encode(b"first line\nsecond\n").decode()},
    }
    error = ApiError("demo: pin 42 of 1420 and second are wrong", 422, "Invalid")
    assert str(masked(error, value)) == "demo: pin (not shown) of 1420 and (not shown) are wrong"
    assert masked(error, None, {"kind": "ConfigMap", "data": {"a": "42"}}) is error


def test_lines_that_render_does_not_write_are_refused() -> None:
    value = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s", "annotations": {ANNOTATION: "token"}}}
    with pytest.raises(StaleTreeError, match="is not as render writes it"):
        slots(value)
    assert slots({**value, "kind": "ConfigMap"}) == ()


def test_the_annotation_is_the_one_that_render_writes() -> None:
    assert ANNOTATION == object_secrets.ANNOTATION
