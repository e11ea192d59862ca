"""What a bridge counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .device_camera import DeviceCamera
from .states import DeviceState

COUNTERS = {
    "pictures": "Whole JPEGs that came from the device.",
    "damaged": "JPEGs that were cut or corrupt, and were left out.",
    "dropped": "Whole JPEGs that were left out of the video, because a later one was there already.",
    "bytes": "Bytes that came from the device.",
    "connections": "Streams that were opened at the device.",
}


class DeviceMetrics(Collector):
    """Reads the numbers of the cameras when somebody asks."""

    def __init__(self, cameras: Sequence[DeviceCamera]) -> None:
        self._cameras = cameras
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """For the registry: nothing is known before."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        state = GaugeMetricFamily(
            "cctvsignal_esp32_state", "1 for the state it is in.", None, ["device", "state"]
        )
        viewers = GaugeMetricFamily("cctvsignal_esp32_viewers", "Who has a session.", None, ["device"])
        for camera in self._cameras:
            for each in DeviceState:
                state.add_metric([camera.config.id, each.value], float(each is camera.source.state))
            viewers.add_metric([camera.config.id], len(camera.client.viewers))
        yield from (state, viewers)
        for name, text in COUNTERS.items():
            counter = CounterMetricFamily(f"cctvsignal_esp32_{name}", text, None, ["device"])
            for camera in self._cameras:
                counter.add_metric([camera.config.id], getattr(camera.source.tally, name))
            yield counter
