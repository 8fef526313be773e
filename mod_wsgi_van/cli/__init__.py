"""The command mod-wsgi-van: exit status 0 fine, 1 problem, 2 usage."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from mod_wsgi_van import config
from mod_wsgi_van.cli import (
    administering,
    demo,
    deploying,
    founding,
    keeping,
    looking,
    options,
    pages,
    serve,
)
from mod_wsgi_van.cli.dashboard.command import dashboard_command
from mod_wsgi_van.cli.interruption import Interruption
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.settings import Settings

_NAME = "mod-wsgi-van"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        status = group.main(arguments, prog_name=_NAME, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else _NAME
        click.echo(f"{where}: {error.format_message()}", err=True)
        return 2
    except (click.ClickException, OSError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else error
        click.echo(f"{_NAME}: {text}", err=True)
        return 1
    except click.Abort:  # Ctrl-C
        return 1
    return status if isinstance(status, int) else 0


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("mod-wsgi-van"), prog_name=_NAME)
def group() -> None:
    """Serve many Python web applications, one per directory and host name."""


def _serving(command: Any) -> Any:
    """The options of the commands that serve."""
    about = f"port on {serve.ADDRESS}, 0 for any free one (default: 8080)"
    port = click.option("--port", type=click.IntRange(0, 65535), default=8080, help=about)
    about = "auto takes Apache where it has mod_wsgi, otherwise waitress (default: auto)"
    servers = click.Choice(serve.SERVERS)
    server = click.option("--server", type=servers, default="auto", help=about)
    about = "van.toml with settings of the router; options go before it"
    file = click.option("--config", metavar="FILE", help=about)
    return port(server(file(options.with_settings(command))))


@group.command("serve")
@click.argument("base_path", metavar="[BASE_PATH]", required=False)
@_serving
def _serve(base_path: str | None, **given: Any) -> None:
    """Serve the sites of BASE_PATH (default: that of --config, or /var/www) in the foreground."""
    _run(base_path, False, given)


@group.command("demo")
@click.argument("base_path", metavar="DIRECTORY")
@_serving
def _demo(base_path: str, **given: Any) -> None:
    """Make demo sites in DIRECTORY, which is made when it does not exist, and serve them."""
    _run(base_path, True, given)


def _run(base_path: str | None, demonstrate: bool, given: dict[str, Any]) -> None:
    try:
        written = config.load(given["config"]) if given["config"] else {}
    except config.ConfigError as error:
        raise Problem(str(error)) from error
    base = os.path.abspath(base_path or written.get("base_path", Settings.base_path))
    settings = {**written, **options.settings(given), "base_path": base}
    try:
        Settings(**settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    order = serve.Order(settings, given["port"], given["server"])
    try:
        with Interruption() as interruption:
            made = demo.make(Path(base)) if demonstrate else None

            def ready(port: int) -> None:
                if made:
                    print(demo.instructions(made, port), flush=True)

            serve.serve(order, ready, interruption)
    except KeyboardInterrupt:
        pass
    print("\nEnded.", flush=True)


@group.command("help")
@click.argument("page", required=False, type=pages.name, shell_complete=pages.beginning_with)
def _help(page: str | None) -> None:
    """Show a page of the manual, or list its pages."""
    pages.show(page)


@group.command("explain")
@click.argument("code", required=False, type=pages.code)
def _explain(code: str | None) -> None:
    """Say what a code in the log means, such as VAN007 or 7, or list all codes."""
    pages.explain(code)


@group.command("completion")
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
def _completion(shell: str) -> None:
    """Print a script that lets SHELL complete this command.

    For bash: mod-wsgi-van completion bash > /etc/bash_completion.d/mod-wsgi-van
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(group, {}, _NAME, "_MOD_WSGI_VAN_COMPLETE").source())


group.add_command(administering.setup_command)
group.add_command(administering.config_command)
group.add_command(administering.doctor_command)
group.add_command(administering.spawner_command)
group.add_command(keeping.maintenance_command)
group.add_command(keeping.run_command)
group.add_command(founding.new_command)
group.add_command(founding.remove_command)
group.add_command(looking.status_command)
group.add_command(looking.list_command)
group.add_command(looking.logs_command)
group.add_command(looking.restart_command)
group.add_command(dashboard_command)
group.add_command(deploying.deploy_command)
group.add_command(deploying.activate_command)
group.add_command(deploying.rollback_command)
group.add_command(deploying.releases_command)
