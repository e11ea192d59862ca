"""A fuzz target for the MJPEG parser: python -m tests.fuzz_mjpeg [SECONDS]

`target` takes any bytes and raises when the parser sends on what is no whole JPEG, or raises anything but
`BadStream`; give it to a fuzzer that is guided by coverage, or run it here on random bytes.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

from tests.unit.test_mjpeg import test_nothing_that_is_no_whole_jpeg_is_ever_sent_on

target: Callable[[bytes], object] = vars(test_nothing_that_is_no_whole_jpeg_is_ever_sent_on)[
    "hypothesis"
].fuzz_one_input


def main(seconds: float) -> None:
    seed = random.randrange(2**32)
    source, runs, end = random.Random(seed), 0, time.monotonic() + seconds
    print(f"seed {seed}", flush=True)
    while time.monotonic() < end:
        target(source.randbytes(source.randrange(4096)))
        runs += 1
    print(f"{runs} streams, and nothing wrong in {seconds:.0f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
