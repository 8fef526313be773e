"""The command mod-wsgi-van: exit status 0 fine, 1 problem, 2 usage."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mod_wsgi_van.cli import demo, options, pages, serve
from mod_wsgi_van.cli.interruption import Interruption
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status. Usage errors raise SystemExit(2)."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.command == "help":
            pages.show(given.page)
        elif given.command == "explain":
            pages.explain(given.code)
        else:
            _serve(parser, given)
    except (Problem, OSError) as error:
        print(f"mod-wsgi-van: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    base = os.path.abspath(given.base_path)
    settings = options.settings(given) | {"base_path": base}
    try:
        Settings(**settings)
    except ValueError as error:
        parser.error(str(error))
    order = serve.Order(settings, given.port, given.server)
    try:
        with Interruption() as interruption:
            made = demo.make(Path(base)) if given.command == "demo" else None

            def ready(port: int) -> None:
                if made:
                    print(demo.instructions(made, port), flush=True)

            serve.serve(order, ready, interruption)
    except KeyboardInterrupt:
        pass
    print("\nEnded.", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mod-wsgi-van",
        description="Serve many Python web applications, one per directory and host name.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, description=about)

    command = add("serve", "serve the sites of a directory in the foreground")
    base = Settings.base_path
    about = f"directory of the sites (default: {base})"
    command.add_argument("base_path", metavar="BASE_PATH", nargs="?", default=base, help=about)
    _add_options(command)
    command = add("demo", "make demo sites in a directory and serve them")
    command.add_argument("base_path", metavar="DIRECTORY", help="made when it does not exist")
    _add_options(command)
    command = add("help", "show a page of the manual, or list its pages")
    about = "one of those that are listed without it"
    command.add_argument("page", metavar="PAGE", nargs="?", type=pages.name, help=about)
    command = add("explain", "say what a code in the log means, or list all codes")
    about = "such as VAN007, or 7"
    command.add_argument("code", metavar="CODE", nargs="?", type=pages.code, help=about)
    return parser


def _add_options(command: argparse.ArgumentParser) -> None:
    about = f"port on {serve.ADDRESS}, 0 for any free one (default: 8080)"
    command.add_argument("--port", type=_port, default=8080, help=about)
    about = "auto takes Apache where it has mod_wsgi, otherwise waitress (default: auto)"
    command.add_argument("--server", choices=serve.SERVERS, default="auto", help=about)
    options.add_settings(command)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)
