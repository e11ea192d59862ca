"""`python -m cctvsignal` and the `cctvsignal` command: the server without twistd, on every platform.

`cctvsignal token`, `keygen` and `cameras` are for the owner of a server.
"""

from __future__ import annotations

import sys

from twisted.internet.interfaces import IReactorCore
from twisted.logger import globalLogBeginner

from .commands import COMMANDS, run
from .options import Options


def main() -> None:
    """Run the server until SIGINT or SIGTERM, or a command of its owner."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        sys.exit(run(sys.argv[1:]))
    if sys.platform == "linux":
        from .reactor import install

        install()
    options = Options()
    options.parseOptions()
    # Not before: some of what it imports would install a reactor, too.
    from .service import make_service

    service = make_service(options)
    globalLogBeginner.beginLoggingTo([service.log_observer()], redirectStandardIO=False)
    service.privilegedStartService()
    service.startService()
    from twisted.internet import reactor

    assert IReactorCore.providedBy(reactor)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()


if __name__ == "__main__":
    main()
