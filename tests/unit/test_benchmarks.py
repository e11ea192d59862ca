"""What the benchmarks make of figures, and how they talk to other servers. Nothing here is timed."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from benchmarks import plot, relay, relay_report
from benchmarks.dialects import DIALECTS, PEERJS, SOCKETIO, Place, content_of_size
from benchmarks.relay_report import JOINS, P99, PER_SECOND, Target
from benchmarks.servers import FLOOR, NODE, OURS

CPU = {"server": 1.0, "generator": 0.4, "seconds": 1.0}


def rounds(key: str, *values: tuple[float, float]) -> relay.Rounds:
    return [{OURS: {key: ours, "cpu": CPU}, NODE: {key: node, "cpu": CPU}} for ours, node in values]


def measured(**changes: relay.Rounds) -> relay.Measured:
    """One round in which ours is as good as Node in everything."""
    figures: dict[str, Any] = {
        **dict.fromkeys(("perSecond", "perCpuSecond", "p50Ms", "p99Ms", "medianMs", "lastMs"), 1000.0),
        "medianSinceStartMs": 1.0,
        "lastSinceStartMs": 2.0,
        "lastPerMedian": 2.0,
        "offered": 1000.0,
        "bytesPerConnection": 2048.0,
        "cpuPercent": 0.5,
        "pings": 10_000,
        "cpu": CPU,
    }
    same = {case: [{OURS: dict(figures), NODE: dict(figures)}] for case in relay.CASES}
    return {**same, **changes}


def verdicts(found: relay.Measured) -> dict[str, str]:
    """The last cell of each row by its first one."""
    cells = [line.strip("| ").split(" | ") for line in relay_report.targets(found)[2:]]
    return {row[0]: row[-1] for row in cells}


def test_a_ratio_is_one_of_medians_and_not_a_median_of_ratios() -> None:
    case = relay.ONE.name
    found = relay_report.targets(measured(**{case: rounds("perSecond", (100, 10), (300, 200), (500, 900))}))
    [row] = [line for line in found if line.startswith(f"| {case}: messages")]
    assert "| 300 /s | 200 /s | 1.50 | 0.56 to 10.00 | met |" in row


@pytest.mark.parametrize(
    ("target", "ours", "node", "is_met"),
    [
        (Target("", PER_SECOND, 1.5, True), 150.0, 100.0, True),
        (Target("", PER_SECOND, 1.5, True), 149.0, 100.0, False),
        (Target("", P99, 1.0, False), 1.0, 1.0, True),
        (Target("", P99, 1.0, False), 1.01, 1.0, False),
        (Target("", JOINS, 2.0, False, is_ratio=False), 1.9, 0.1, True),
        (Target("", JOINS, 2.0, False, is_ratio=False), 2.1, 9.0, False),
    ],
)
def test_a_target_is_met_or_not(target: Target, ours: float, node: float, is_met: bool) -> None:
    assert target.is_met(ours, node) is is_met


def test_equal_servers_meet_the_targets_of_cost_and_miss_those_of_speed() -> None:
    found = verdicts(measured())
    assert len(found) == len(relay_report.TARGETS)
    assert found[f"{relay.IDLE}: memory of a connection"] == "met"
    assert found[f"{relay.IDLE}: processor time"] == "met"
    assert found[f"{relay.STORM}: the last join, in medians"] == "met"
    assert found[f"{relay.STORM}: joins"] == "**not met**"
    assert found[f"{relay.ONE.name}: messages"] == "**not met**"


def test_a_server_that_takes_no_time_at_all_is_a_result() -> None:
    idle = measured()[relay.IDLE]
    idle[0][NODE]["cpuPercent"] = 0.0
    assert verdicts(measured(**{relay.IDLE: idle}))[f"{relay.IDLE}: processor time"] == "met"


def test_what_the_machine_cannot_tell_is_not_measured() -> None:
    idle = measured()[relay.IDLE]
    idle[0][OURS]["bytesPerConnection"] = None
    name = f"{relay.IDLE}: memory of a connection"
    assert verdicts(measured(**{relay.IDLE: idle}))[name] == "not measured"


def test_a_busy_load_generator_and_a_server_that_does_not_keep_up_are_told_of() -> None:
    found = measured()
    found[relay.STORM][0][NODE]["cpu"] = CPU | {"generator": 0.95}
    assert relay_report.bottlenecks(found) == [
        f"- {relay.STORM}, Node ws: the load generator itself used 95% of its core."
    ]
    half = found[relay.HALF]
    for name in (OURS, NODE):
        half[0][name]["cpu"] = CPU | {"generator": 1.0}
    half[0][OURS]["perSecond"] = 700.0
    assert relay_report.overloads(half) == [
        f"- {relay.HALF}, cctvsignal: in one round only 70% of it came through."
    ]


def test_the_floor_says_what_the_load_generator_can_do() -> None:
    found = measured()
    found[relay.STORM][0][FLOOR] = {"perSecond": 5000.0, "cpu": CPU}
    [line] = relay_report.limit(found)
    assert line.startswith(f"- {relay.STORM}: the load generator drives the floor 5.0 times")


def test_the_plot_is_xml_and_has_a_bar_for_each_server_that_was_measured() -> None:
    found = measured()
    found[relay.STORM][0][FLOOR] = {"perSecond": 5000.0, "cpu": CPU}
    root = ElementTree.fromstring(plot.draw(plot.groups(found)))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 2 * len(relay_report.throughput_cases()) + 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("kind", "size"), [("iceCandidate", 250), ("offer", 2500)])
def test_messages_have_the_size_that_is_asked_for(dialect: str, kind: str, size: int) -> None:
    content = content_of_size(DIALECTS[dialect], kind, "0123456789", size)
    assert len(DIALECTS[dialect].relay(kind, "0123456789", content)) == size


def test_a_message_that_cannot_be_so_short_is_an_error() -> None:
    with pytest.raises(ValueError, match="as short as 50 bytes"):
        content_of_size(DIALECTS[SOCKETIO], "iceCandidate", "someone", 50)


def test_socket_io_is_opened_connected_joined_and_kept_alive() -> None:
    dialect, place = DIALECTS[SOCKETIO], Place("camera-1", "bench-1", "cam-1")
    assert dialect.reply(dialect.parse(b'0{"sid":"engine"}'), place) == b"40"
    connected = dialect.parse(b'40{"sid":"socket"}')
    assert connected["id"] == "socket"
    assert dialect.reply(connected, place) == b'42["join","bench-1"]'
    assert dialect.parse(b'42["joined","bench-1"]')["type"] == dialect.ready
    assert dialect.reply(dialect.parse(b"2"), place) == b"3"


def test_socket_io_relays_events() -> None:
    dialect = DIALECTS[SOCKETIO]
    assert dialect.relay("offer", "other", {"sdp": "v=0"}) == b'42["offer","other",{"sdp":"v=0"}]'
    arrived = dialect.parse(b'42["offer","me",{"sdp":"v=0"}]')
    assert arrived == dialect.relayed("offer", "me", {"sdp": "v=0"})


def test_peer_js_names_itself_and_its_receiver() -> None:
    dialect = DIALECTS[PEERJS]
    assert "&id=viewer-7&" in dialect.path(Place("viewer-7", "unused"))
    sent = json.loads(dialect.relay("iceCandidate", "other", {"candidate": "c"}))
    assert (sent["type"], sent["dst"]) == ("CANDIDATE", "other")
    del sent["dst"]
    assert dialect.relayed("iceCandidate", "me", {"candidate": "c"}) == {**sent, "src": "me"}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_what_is_written_in_c_compiles_without_a_warning(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import compiled

    monkeypatch.setattr(compiled, "BUILD", tmp_path)
    compiled.build()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crowd.so", "floor", "load.so"]
