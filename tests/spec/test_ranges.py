import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.spec.ranges import RangeFault, pattern
from tests.spec.samples import loaded


def test_zero_padding_is_kept() -> None:
    hosts = pattern("worker-[001:050]")
    assert hosts.length == 50
    assert [hosts.at(index) for index in (0, 8, 9, 49)] == ["worker-001", "worker-009", "worker-010", "worker-050"]


def test_several_ranges_advance_together() -> None:
    assert pattern("10.[1:3].[7:9].1").at(2) == "10.3.9.1"


@pytest.mark.parametrize("text", ["a-[3:1]", "a-[1:2][1:3]", "a-[1]", "a-]1:2[", "a-[1:99999]", "a-[1:9999999999]"])
def test_malformed_ranges_are_refused(text: str) -> None:
    with pytest.raises(RangeFault):
        pattern(text)


@given(st.integers(0, 9000), st.integers(0, 900), st.integers(1, 5))
def test_range_counts_from_first_to_last(first: int, more: int, width: int) -> None:
    low, high = str(first).rjust(width, "0"), str(first + more)
    hosts = pattern(f"h[{low}:{high}]")
    assert hosts.length == more + 1
    assert hosts.at(0) == f"h{low}"
    assert int(hosts.at(more)[1:]) == first + more


@given(st.text(alphabet="a1[]:-", max_size=12))
def test_any_text_is_a_pattern_or_a_clear_fault(text: str) -> None:
    try:
        found = pattern(text)
    except RangeFault as fault:
        assert fault.what and fault.todo
    else:
        assert "[" not in found.at(0)


def test_ranges_of_hosts_addresses_and_subnets_pair_up() -> None:
    cluster = loaded(
        network={"plugin": "bridge"},
        hosts={
            "cp1": {"pool": "control", "address": "10.0.0.1", "podSubnet": "10.244.0.0/24"},
            "w-[08:11]": {"pool": "workers", "address": "10.0.1.[8:11]", "podSubnet": "10.244.[8:11].0/24"},
        },
    )
    found = [(host.name, host.address, host.pod_subnets) for host in cluster.hosts if host.pool.name == "workers"]
    assert found == [
        ("w-08", "10.0.1.8", ("10.244.8.0/24",)),
        ("w-09", "10.0.1.9", ("10.244.9.0/24",)),
        ("w-10", "10.0.1.10", ("10.244.10.0/24",)),
        ("w-11", "10.0.1.11", ("10.244.11.0/24",)),
    ]
