"""The command dashboard."""

from __future__ import annotations

import click

from mod_wsgi_van.cli import asking, subject
from mod_wsgi_van.cli.interruption import Interruption

BIND = "127.0.0.1:9117"


@click.command("dashboard")
@click.option("--bind", metavar="HOST:PORT", default=BIND, help=f"(default: {BIND})")
@subject.CONFIG
def dashboard_command(bind: str, config: str | None) -> None:
    """Show what the sites do, as a page and as metrics for Prometheus.

    The page is at /, the metrics are at /metrics, and /live and /ready are for whoever watches over
    the server. It serves whoever reaches the address, and only looks.
    """
    # The library of the metrics takes a quarter of a second to import: no other command shall wait.
    from mod_wsgi_van.cli.dashboard import server
    from mod_wsgi_van.cli.dashboard.observer import Observer

    try:
        server.address(bind)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--bind") from error
    directory = subject.settings(config).status_directory
    asking.processes(directory)  # may raise Problem: it is better said at once
    observer = Observer(directory)
    with server.DashboardServer(bind, observer) as serving:
        try:
            with Interruption():
                observer.start()
                print(f"Serving the dashboard on {serving.url}", flush=True)
                serving.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            observer.stop()
