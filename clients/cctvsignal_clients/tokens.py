"""A token in a file, which something else writes anew before it expires."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from .errors import ClientError, InvalidOption, blames_token
from .signaling import WebRTCCCTVClient

LOOK_SECONDS: Final = 5.0

log = Logger()


class TokenFile:
    """The token in a file, for the option `token` of one client: it is read before each connection."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._known = ""
        """The last token that the server was given."""

    def __call__(self) -> str:
        """The token. Raises `InvalidOption` when the file cannot be read or has none in it."""
        self._known = self._read()
        return self._known

    async def follow(self, client: WebRTCCCTVClient) -> None:
        """Bring each new token in the file to the server, until cancelled."""
        said = ""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                token = self._read()
                if token == self._known:
                    continue
                self._known = token
                await client.authenticate(token)
                log.info("the server has the new token in {path}", path=str(self.path))
                said = ""
            except ClientError as error:
                if not blames_token(error) and not isinstance(error, InvalidOption):
                    self._known = ""  # To be tried again.
                if str(error) != said:
                    said = str(error)
                    log.warn("no new token from {path}: {error}", path=str(self.path), error=said)

    def _read(self) -> str:
        try:
            token = self.path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise InvalidOption(f"The token in {self.path} cannot be read: {problem}.") from None
        if not token or any(character.isspace() for character in token):
            raise InvalidOption(f"{self.path} does not hold one token and nothing else.")
        return token
