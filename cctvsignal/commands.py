"""`cctvsignal token`, `keygen` and `cameras`: what an owner does beside running the server."""

from __future__ import annotations

import argparse
import re
import secrets
import sqlite3
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from . import auth, keys
from .device_keys import KeyTable
from .options import from_environment

LONGEST_SECONDS: Final = 10 * 366 * 86400
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class CannotDo(Exception):
    """The command cannot be carried out; the text says why."""


def run(arguments: list[str]) -> int:
    """Run one of `COMMANDS` with its arguments; the exit status."""
    parser = argparse.ArgumentParser(prog="cctvsignal", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_token(commands.add_parser("token", help="make a token for a camera or a viewer"))
    _add_keygen(commands.add_parser("keygen", help="make a key that tokens are signed with"))
    _add_cameras(commands.add_parser("cameras", help="whose the ids of cameras are"))
    options = parser.parse_args(arguments)
    try:
        COMMANDS[options.command](options)
    except CannotDo as error:
        print(f"cctvsignal {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _add_token(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print a token, signed with the first key of --auth-keys or, without it, of the variables "
        "CCTVSIGNAL_AUTH_KEYS or CCTVSIGNAL_AUTH_SECRET."
    )
    parser.add_argument("--role", choices=auth.ROLES, required=True, help="what its holder may be")
    parser.add_argument(
        "--room",
        action="append",
        default=[],
        type=_name,
        help="a room it is for, * for any characters; repeatable",
    )
    parser.add_argument(
        "--camera",
        action="append",
        type=_name,
        help="a camera it is for, * for any characters; repeatable (default: all)",
    )
    parser.add_argument(
        "--ttl",
        type=_duration,
        default="8h",
        metavar="TIME",
        help="how long it is good: 30m, 8h, 90d (default: 8h)",
    )
    parser.add_argument("--subject", type=_name, help="who its holder is (default: role and random digits)")
    parser.add_argument("--id", type=_name, help="a name for this token alone, to revoke it by (claim jti)")
    parser.add_argument("--audience", help="the claim aud, for a server with --auth-audience")
    parser.add_argument("--issuer", help="the claim iss, for a server with --auth-issuer")
    parser.add_argument("--auth-keys", type=Path, metavar="FILE", help="a JWK set, or a private key in PEM")


def _token(options: argparse.Namespace) -> None:
    if not options.room and options.role != "admin":
        raise CannotDo("--room is missing: a token is for some rooms; --room '*' is for all of them")
    # One for each token: limits and revocation go by it.
    subject = options.subject or f"{options.role}-{secrets.token_hex(8)}"
    token = auth.mint(
        _signing_key(options.auth_keys),
        subject=subject,
        role=options.role,
        rooms=options.room or ["*"],
        cameras=options.camera,
        seconds=options.ttl,
        audience=options.audience,
        issuer=options.issuer,
        token_id=options.id,
    )
    print(token)
    if not options.subject and sys.stderr.isatty():
        text = f"The subject is {subject}. To revoke it: a line 'sub {subject}' in the --auth-revoked file."
        print(text, file=sys.stderr)


def _signing_key(path: Path | None) -> keys.Key:
    found = path or from_environment("auth-keys")
    if found is not None:
        try:
            return keys.private_key(Path(found))
        except OSError as error:
            raise CannotDo(f"{found} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise CannotDo(f"{found}: {error}") from None
    in_environment = from_environment("auth-secret")
    if in_environment is None:
        text = "there is no key to sign with: see cctvsignal keygen, and name its file by --auth-keys"
        raise CannotDo(text)
    try:
        return keys.from_secrets(in_environment)[0]
    except ValueError as error:
        raise CannotDo(f"CCTVSIGNAL_AUTH_SECRET: {error}") from None


def _add_keygen(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print a JWK set with a new key for HS256, or write it to a file. If there is such a file already, "
        "the new key is put before the others: new tokens are signed with it, old ones stay good."
    )
    parser.add_argument("file", type=Path, nargs="?", help="where to write it, for its owner only")


def _keygen(options: argparse.Namespace) -> None:
    path: Path | None = options.file
    try:
        text = keys.new_key_set(path if path is not None and path.exists() else None)
        if path is None:
            print(text)
            return
        # Moved into place: a server that reads it meanwhile finds all of it or none.
        # Such a file is for its owner only.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text + "\n")
        Path(file.name).replace(path)
    except OSError as error:
        raise CannotDo(f"{path} cannot be written: {error.strerror}") from None
    except ValueError as error:
        raise CannotDo(f"{path} is left as it is: {error}") from None
    print(f"{path} has a new key. Start the server with --auth-keys {path}.")


def _add_cameras(parser: argparse.ArgumentParser) -> None:
    parser.description = "Show or change which camera ids belong to the device whose key was first."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (("list", "show them"), ("revoke", "let the next device have an id")):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        action.add_argument(
            "--camera-keys",
            type=Path,
            metavar="FILE",
            help="the database of the server (default: its variable)",
        )
        if name == "revoke":
            action.add_argument("--room", required=True, help="the room of the camera")
            action.add_argument("camera", help="the id of the camera")


def _cameras(options: argparse.Namespace) -> None:
    found = options.camera_keys or from_environment("camera-keys")
    if found is None:
        raise CannotDo("name the server's database by --camera-keys or CCTVSIGNAL_CAMERA_KEYS")
    path = Path(found)
    if not path.exists():
        raise CannotDo(f"there is no {path}: has a server been started with --camera-keys {path}?")
    try:
        database = KeyTable(path)
        if options.action == "revoke":
            room, camera = (unicodedata.normalize("NFC", name) for name in (options.room, options.camera))
            if not database.revoke(room, camera):
                raise CannotDo(f"no device has camera {camera} of room {room}")
            print(f"Camera {camera} of room {room} is for the next device that brings a key.")
        else:
            for pinned in database.pinned():
                print(f"{pinned.since}  {pinned.room}  {pinned.camera_id}")
    except (OSError, sqlite3.Error) as error:
        raise CannotDo(f"{path} cannot be used: {error}") from None


def _duration(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text} is no time such as 30m, 8h or 90d")
    seconds = int(match[1]) * UNITS[match[2]]
    if seconds > LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is more than ten years")
    return seconds


def _name(text: str) -> str:
    if not 1 <= len(text) <= auth.MAX_NAME_LENGTH:
        raise argparse.ArgumentTypeError(f"it has 1 to {auth.MAX_NAME_LENGTH} characters")
    return text


COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], None]]] = {
    "token": _token,
    "keygen": _keygen,
    "cameras": _cameras,
}
