"""The metrics, in Prometheus's format: asked for when they are scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import CollectorRegistry

from mod_wsgi_van.cli.dashboard import totals
from mod_wsgi_van.cli.dashboard.observer import View, memory
from mod_wsgi_van.cli.summing import WORST, Standing

# Name, help, label besides the site, and the counter of totals.
_COUNTERS = (
    ("van_requests", "Requests that a site got.", None, "requests"),
    ("van_refused", "Requests that got 503 in place of the site.", "reason", "refused"),
    ("van_reloads", "New releases that went live (ok) or did not (failed).", "result", "reloads"),
    ("van_worker_restarts", "Workers that were replaced.", "reason", "restarts"),
)

_GAUGES: tuple[tuple[str, str, Callable[[Standing], float]], ...] = (
    (
        "van_requests_in_progress",
        "Requests of a site that are under way.",
        lambda site: site.sum(lambda line: line["in_progress"]),
    ),
    (
        "van_queue_length",
        "Requests that wait for a worker of the site.",
        lambda site: site.sum(lambda line: line["queue"]),
    ),
    (
        "van_holding_old_release",
        "Whether an old release serves because the new one does not load.",
        lambda site: any(line["state"] == "holding" for line in site.told.values()),
    ),
    (
        "van_worker_private_bytes",
        "Memory that the workers of a site share with nobody.",
        memory,
    ),
)


def registry(look: Callable[[], View]) -> CollectorRegistry:
    """What is given to prometheus_client; ``look`` is called for each scrape."""
    made = CollectorRegistry()
    made.register(_Scrape(look))
    return made


class _Scrape:
    def __init__(self, look: Callable[[], View]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        view = self._look()
        sites = Counter(site.state for site in view.sites.values())
        yield _family(
            GaugeMetricFamily,
            ("van_sites", "Sites by their state.", ["state"]),
            [((each,), sites[each]) for each in WORST],
        )
        for name, help, label, counter in _COUNTERS:
            labels = ["site", *([label] if label else [])]
            found = totals.of(view.sums, counter)
            yield _family(CounterMetricFamily, (name, help, labels), found)
        for name, help, value in _GAUGES:
            rows = (((each.site,), float(value(each))) for each in view.sites.values())
            yield _family(GaugeMetricFamily, (name, help, ["site"]), rows)
        yield _loads(view)
        yield _releases(view)
        yield from _of_the_processes(view)


def _family(kind: Any, about: tuple[str, str, Sequence[str]], rows: Any) -> Metric:
    name, help, labels = about
    family = kind(name, help, labels=labels)
    for values, value in rows:
        # A path may have bytes that are no text.
        clean = [text.encode(errors="backslashreplace").decode() for text in values]
        family.add_metric(clean, value)
    return family


def _loads(view: View) -> Metric:
    about = "van_load_duration_seconds", "Time that the releases of a site took to load."
    family = SummaryMetricFamily(*about, labels=["site"])
    for (site,), count in totals.of(view.sums, "loads"):
        family.add_metric([site], int(count), view.sums["load_seconds", site])
    return family


def _releases(view: View) -> Metric:
    keys = ("release", "isolation", "python")
    rows = {
        (site.site, *(str(line[key]) for key in keys))
        for site in view.sites.values()
        for line in site.told.values()
        if line["release"]
    }
    about = "van_release_info", "The release of a site that serves.", ["site", *keys]
    return _family(GaugeMetricFamily, about, [(row, 1) for row in sorted(rows)])


def _of_the_processes(view: View) -> Iterator[Metric]:
    modes = [each.process.get("watch") for each in view.told if not each.error]
    help = "1 where inotify tells of changes, 0 where a process of the daemon polls."
    family = GaugeMetricFamily("van_watch_mode", help)
    if modes:
        family.add_metric([], float(all(mode == "inotify" for mode in modes)))
    yield family
    events = totals.of(view.sums, "events")
    about = "van_events", "Lines of the log with a code.", ["code"]
    yield _family(CounterMetricFamily, about, events)
