"""The command mod-wsgi-van: exit status 0 fine, 1 problem, 2 usage."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mod_wsgi_van import Router
from mod_wsgi_van.cli import demo, options, serve
from mod_wsgi_van.cli.interruption import Interruption
from mod_wsgi_van.cli.problem import Problem


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status. Usage errors raise SystemExit(2)."""
    parser = _parser()
    given = parser.parse_args(arguments)
    settings = options.settings(given) | {"base_path": os.path.abspath(given.base_path)}
    try:
        Router(**settings)  # in this process only to learn whether the settings are allowed
    except ValueError as error:
        parser.error(str(error))
    order = serve.Order(settings, given.port, given.server)
    try:
        with Interruption() as interruption:
            _run(given.command, order, interruption)
    except (Problem, OSError) as error:
        print(f"mod-wsgi-van: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    print("\nEnded.", flush=True)
    return 0


def _run(command: str, order: serve.Order, interruption: Interruption) -> None:
    if command == "serve":
        serve.serve(order, lambda port: None, interruption)
        return
    made = demo.make(Path(order.settings["base_path"]))
    serve.serve(order, lambda port: print(demo.instructions(made, port), flush=True), interruption)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mod-wsgi-van",
        description="Serve many Python web applications, one per directory and host name.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    about = "serve the vhosts of a directory in the foreground"
    command = commands.add_parser("serve", help=about, description=about)
    command.add_argument(
        "base_path",
        metavar="BASE_PATH",
        nargs="?",
        default=Router.base_path,
        help=f"directory of the vhosts (default: {Router.base_path})",
    )
    _add_options(command)
    about = "make demo vhosts in a directory and serve them"
    command = commands.add_parser("demo", help=about, description=about)
    command.add_argument("base_path", metavar="DIRECTORY", help="made when it does not exist")
    _add_options(command)
    return parser


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--port",
        type=_port,
        default=8080,
        help=f"port on {serve.ADDRESS}, 0 for any free one (default: 8080)",
    )
    command.add_argument(
        "--server",
        choices=serve.SERVERS,
        default="auto",
        help="auto takes Apache where it has mod_wsgi, otherwise waitress (default: auto)",
    )
    options.add_settings(command)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)
