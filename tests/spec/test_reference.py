import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from generator.spec import load_text
from generator.spec.example import full_example
from generator.spec.reference import PAGE, SCHEMA, options, reference_page, schema_text
from generator.spec.schema import json_schema
from tests.spec.samples import spec

GOLDEN = Path(__file__).parents[1] / "golden" / "clusters"


def test_page_and_schema_are_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run make docs"
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "run make docs"


def test_every_option_has_one_line_of_meaning() -> None:
    for option in options():
        assert option.meaning.endswith("."), option
        assert "\n" not in option.meaning


def test_the_full_example_loads() -> None:
    assert load_text(full_example("prod"), name="prod").warnings == ()


def _keys(value: object, prefix: str = "") -> set[str]:
    """Return the paths of a value as the reference writes them."""
    if isinstance(value, list):
        return {key for one in value for key in _keys(one, f"{prefix[:-1]}[].")} if prefix else set()
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for key, one in value.items():
        named = re.sub(
            r"^(pools|hosts|addons\.jenkins\.environments)\.[^.]+$|(components)\.[^.]+$",
            lambda match: f"{match[1] or match[2]}.<name>",
            f"{prefix}{key}",
        )
        found |= {named} | _keys(one, f"{named}.")
    return found


def test_no_option_is_missing_in_the_full_example() -> None:
    everything = yaml.safe_load(re.sub(r"(?m)^( *)#- ", r"\1", full_example("prod")))
    assert {option.path for option in options()} <= _keys(everything)


def test_defaults_of_the_full_example_change_nothing() -> None:
    text = full_example("prod")
    plain = load_text(text)
    for section in ("network", "directories", "encryption", "audit", "artifacts"):
        block = re.search(rf"(?m)^#- {section}:\n(#-   .*\n)+", text)
        assert block is not None
        opened = text.replace(block[0], re.sub(r"(?m)^#- ", "", block[0]))
        assert load_text(opened) == plain


@pytest.mark.parametrize("name", ["minimal", "ha"])
def test_the_json_schema_takes_the_golden_clusters(name: str) -> None:
    jsonschema.validate(yaml.safe_load((GOLDEN / name / "cluster.yaml").read_text()), json_schema())


def test_the_json_schema_refuses_an_unknown_key() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**spec(), "netwrok": {}}, json_schema())
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))
