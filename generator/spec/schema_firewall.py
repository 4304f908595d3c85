"""The sections of cluster.yaml about who may reach which port: firewall, and listeners of the user's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from generator.spec.scalars import ScalarText
from generator.spec.scalars_network import Cidr, Port, Source
from generator.spec.schema_base import Section


def _unquoted_off(value: Any) -> Any:
    """Read the word off, which YAML 1.1 takes for false, as it was written."""
    return "off" if value is False else value


class FirewallSpec(Section):
    """Whose rules decide which ports of a host can be reached."""

    mode: Annotated[Literal["keep", "off", "managed"], BeforeValidator(_unquoted_off)] = Field(
        "keep",
        description="keep touches nothing; off stops and disables the distribution's own services; managed does that "
        "and loads a rule set of ours, which closes every port that ports.yaml does not name.",
    )
    operators: list[Cidr] = Field(
        [], description="Ranges from which people reach sshd; needed with managed. Jump hosts are added by themselves."
    )
    node_protocols: list[Literal["ipip", "gre", "esp"]] = Field(
        [], description="IP protocols that hosts take from nodes, for a pod network of your own that uses them."
    )


class ListenerSpec(Section):
    """A port on which something of your own listens: status knows it, and a managed firewall opens it."""

    port: Port = Field(description="The port.")
    protocol: Literal["tcp", "udp"] = Field("tcp", description="Its protocol.")
    sources: list[Source] = Field(
        ["anyone"],
        alias="from",
        min_length=1,
        description="Who may call: ranges of addresses, nodes (all hosts of the cluster), pods, or anyone.",
    )
    purpose: ScalarText = Field("a listener of your own", description="What it is, for whoever reads ports.yaml.")
