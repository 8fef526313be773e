"""The points of half an hour, and the rate of requests."""

from __future__ import annotations

import pytest

from mod_wsgi_van.cli.dashboard.history import POINTS, STEP, History


def test_points_have_the_rate_since_the_one_before() -> None:
    history = History()
    for number, requests in enumerate([100, 150, 150]):
        history.record(number * STEP, {"a": (7.0, requests)})
    assert history.points("a") == [(STEP, 7.0, 5.0), (2 * STEP, 7.0, 0.0)]
    assert history.rate("a", 2 * STEP + 5, 225) == pytest.approx(5.0)
    assert history.points("b") == []
    assert history.rate("b", 5 * STEP, 9) == 0


def test_only_the_last_half_hour_is_kept() -> None:
    history = History()
    for number in range(3 * POINTS):
        assert history.due(number * STEP)
        history.record(number * STEP, {"a": (number, number * STEP)})
    points = history.points("a")
    assert len(points) == POINTS - 1
    assert points[-1] == ((3 * POINTS - 1) * STEP, 3 * POINTS - 1, 1.0)
    assert not history.due((3 * POINTS - 1) * STEP + 1)


def test_a_site_that_went_and_came_begins_anew() -> None:
    history = History()
    history.record(0, {"a": (1.0, 100)})
    history.record(STEP, {})
    history.record(2 * STEP, {"a": (1.0, 2)})
    assert history.points("a") == []
    history.record(3 * STEP, {"a": (1.0, 12)})
    assert history.points("a") == [(3 * STEP, 1.0, 1.0)]


def test_a_clock_that_is_set_back_is_no_fault() -> None:
    history = History()
    history.record(1000.0, {"a": (1.0, 1)})
    assert not history.due(10.0)
    assert history.rate("a", 10.0, 5) == 0
