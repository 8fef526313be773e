"""The page in a real browser: what it shows as it happens, to whom, and what it leaves alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.cli.dashboard.server import DashboardServer
from tests.cli.dashboard.conftest import Begin
from tests.support.chromium import PROGRAM, Chromium
from tests.support.daemon import FakeProcess, site

pytestmark = pytest.mark.skipif(
    not PROGRAM and os.environ.get("CI") != "true",
    reason="there is no chromium (apt install chromium)",
)

SHOP = "shop.domain.org"
BLOG = "blog.domain.org"
FAILURE = {"code": "VAN002", "text": "ImportError: no module named 'shop'", "time": 1.79e9}

Open = Callable[[], Chromium]


@pytest.fixture
def look(open_path: Path, server: DashboardServer) -> Iterator[Open]:
    """Open the page."""
    browser = Chromium(open_path)

    def opened() -> Chromium:
        browser.window(1280, 900)
        browser.open(server.url)
        browser.wait("document.title.length > 20", "the page")
        return browser

    yield opened
    browser.close()
    assert browser.faults == []
    strange = [url for url in browser.requested if not url.startswith((server.url, "about:"))]
    assert strange == []


@pytest.fixture
def two(begin: Begin) -> FakeProcess:
    """A process with two sites."""
    process = begin(1)
    for name in (SHOP, BLOG):
        process.site(name, workers=[worker(9)])
    return process


def worker(pid: int) -> dict[str, Any]:
    return {
        "pid": pid,
        "started": time.time() - 90,
        "requests": 3,
        "cpu_seconds": 1.25,
        "private_bytes": 21_000_000,
        "last_use": None,
    }


def row(name: str) -> str:
    return f'tr:has([data-site="{name}"])'


def release(number: int) -> dict[str, Any]:
    return {"release": f"/var/www/.sites/x/releases/{number}", "since": 1.79e9 + number}


def test_a_deploy_is_shown_as_it_happens(two: FakeProcess, look: Open) -> None:
    page = look()
    page.wait_for("#verdict", "All 2 sites are well.")
    page.wait_for(row(SHOP), "Loaded")
    two.site("new.domain.org", state="loading", release="", since=None)
    page.wait_for("#log", "new.domain.org is loading")
    two.site("new.domain.org", state="loaded", **release(1))
    page.wait_for("#log", "new.domain.org is live with 1")
    two.site(SHOP, **release(2))
    page.wait_for("#log", f"{SHOP} is live with 2")
    page.wait_for(row(SHOP), "2")
    two.sites = {SHOP: two.sites[SHOP]}
    page.wait_for("#log", f"{BLOG} is gone")
    page.wait_for("#verdict", "The one site is well.")


def test_a_failed_deploy_is_shown_with_its_reason(two: FakeProcess, look: Open) -> None:
    page = look()
    page.wait_for(row(SHOP), "Loaded")
    two.site(SHOP, state="holding", failure=FAILURE)
    page.wait_for("#log", f"{SHOP} keeps its old release 1. VAN002: ImportError")
    page.wait_for("#verdict", "All is served; 1 deploy did not go live.")
    two.site(BLOG, state="failed", release="", failure=FAILURE)
    page.wait_for("#verdict", "1 site of 2 is down.")
    page.wait_for(row(BLOG), "VAN002")
    page.js(f"document.querySelector('#rows [data-site=\"{SHOP}\"]').click()")
    page.wait_for("#detail", "no module named 'shop'")
    page.wait_for("#detail", "Read the traceback, mend the application and deploy it.")
    two.site(SHOP, state="loaded", **release(2))
    page.wait_for("#detail", "Last failure VAN002")


def test_what_sites_say_is_text_and_no_more(two: FakeProcess, look: Open) -> None:
    bad = '"><img src=x onerror="document.title=1"><script>document.title=1</script>'
    evil = f"evil{bad}%2e"
    two.site(evil, state="failed", path=bad, release=bad, reason=bad, python=bad)
    two.site(evil, failure={"code": bad, "text": bad, "time": 1}, refused={bad: 1})
    page = look()
    page.wait_for("#rows", evil)
    page.js("document.querySelector('#rows a').click()")
    page.wait_for("#detail-name", evil)
    page.wait_for("#detail-body", bad)
    two.site(evil, state="loaded", release=f"{bad}/2")
    page.wait_for("#log", "is live with 2")
    assert page.js("document.querySelectorAll('img, script:not([src])').length") == 0


def test_where_nobody_answers_the_page_says_what_to_do(
    server: DashboardServer, begin: Begin, look: Open
) -> None:
    page = look()
    page.wait_for("#obstacle", "No process of the daemon answers.")
    page.wait_for("#obstacle", "mod-wsgi-van doctor")
    page.wait_for("#empty", "A site appears here after its first request.")
    process = begin(1)
    page.wait_for("#verdict", "No site yet.")
    process.site(SHOP)
    page.wait_for(row(SHOP), "Loaded")
    process.told["draining"] = True
    page.wait_for("#obstacle", "Process 1 drains: it is about to end.")


def test_without_its_dashboard_the_page_says_how_old_it_is(two: FakeProcess, look: Open) -> None:
    page = look()
    page.wait_for(row(SHOP), "Loaded")
    page.send("Network.emulateNetworkConditions", **OFFLINE)
    page.wait_for("#obstacle", "The dashboard does not answer. What you see is of ")
    page.send("Network.emulateNetworkConditions", **{**OFFLINE, "offline": False})
    page.wait_for("#verdict", "All 2 sites are well.")
    page.faults.clear()  # the questions that failed


OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


def test_ten_thousand_sites_do_not_stall_the_page(
    begin: Begin, look: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    process = begin(1)
    names = [f"site-{number:05}.domain.org" for number in range(10_000)]
    process.sites = {name: site(name) for name in names}
    page = look()
    page.wait_for("#verdict", "All 10,000 sites are well.")
    page.js(WATCH)
    end = time.monotonic() + 6
    while time.monotonic() < end:  # a hundred sites are used each time
        count = int(time.monotonic() * 10)
        changed = {name: site(name, requests=count) for name in names[::100]}
        process.sites = {**process.sites, **changed}
        time.sleep(0.5)
    page.js("document.querySelector('.c-rate button').click()")
    page.js("document.querySelector('#next').click()")
    page.wait_for("#page", "Page 2 of 200")
    find = "const find = document.querySelector('#find'); find.value = {!r};"
    page.js(f"{find.format('09999')} find.dispatchEvent(new Event('input'))")
    page.wait_for("#rows", names[-1])
    assert page.js("document.querySelectorAll('#rows tr').length") == 1
    with capsys.disabled():
        print(f"\n10,000 sites in the page: {page.js('told_of()')}")


WATCH = """
window.frames_ = []; window.tasks_ = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) tasks_.push(Math.round(each.duration));
}).observe({ entryTypes: ["longtask"] });
(function frame(before) {
  requestAnimationFrame((now) => { frames_.push(now - before); frame(now); });
})(performance.now());
window.told_of = () => `longest time between two frames ${Math.round(Math.max(...frames_))} ms of `
  + `${frames_.length} frames, tasks over 50 ms: ${tasks_.join(", ") || "none"}`;
0
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(two: FakeProcess, look: Open, scheme: str) -> None:
    for number, state in enumerate(("failed", "holding", "loading", "unloaded", "maintenance")):
        two.site(f"{number}.domain.org", state=state, failure=FAILURE)
    page = look()
    page.scheme(scheme)
    page.wait_for(row("0.domain.org"), "Failed")
    page.js("document.querySelector('#rows a').click()")
    page.wait_for("#detail", "Failure VAN002")
    poor = page.js(CONTRAST)
    assert poor == []
    background = page.js("getComputedStyle(document.documentElement).backgroundColor")
    assert (background == "rgb(20, 21, 24)") == (scheme == "dark")


# The texts whose contrast is below 4.5, as the level AA of WCAG 2 wants it.
CONTRAST = """
(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) continue;
    if (element.closest("[disabled], noscript, .hidden")) continue;
    const [one, two] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (contrast < 4.5) poor.push(`${element.className} ${element.innerText}: ${contrast}`);
  }
  return poor;
})()
"""


def test_all_can_be_done_with_the_keyboard(two: FakeProcess, look: Open) -> None:
    page = look()
    page.wait_for(row(SHOP), "Loaded")
    met = []
    for _ in range(40):
        page.press("Tab")
        met.append(page.js(FOCUSED))
        if met[-1] == "body" or met[-1] in met[:-1]:
            break
    order = ["Skip to the sites", "find", "All", "Loaded", "Site", "State", BLOG, SHOP]
    places = [next(at for at, each in enumerate(met) if each.startswith(word)) for word in order]
    assert places == sorted(places)
    assert len(met) < 40  # the focus leaves the page again
    page.press("/")
    assert page.js(FOCUSED) == "find"
    for key in "shop":
        page.press(key)
    page.wait_for("#rows", SHOP)
    page.wait("document.querySelectorAll('#rows tr').length === 1", "one site")
    while page.js(FOCUSED) != SHOP:
        page.press("Tab")
    outline = page.js("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.press("Enter")
    page.wait_for("#detail", "Live since")
    assert page.js(FOCUSED) == SHOP
    assert page.js("document.activeElement.id") == "detail-name"
    page.press("Tab")
    assert page.js(FOCUSED) == "Close"
    page.press("Escape")
    page.wait("document.querySelector('#detail').hidden", "the details are closed")
    assert page.js("document.activeElement.dataset.site") == SHOP


FOCUSED = """(() => {
  const at = document.activeElement;
  return at === document.body ? "body" : at.id === "find" ? "find" : at.innerText || at.tagName;
})()"""


def test_a_focus_stays_where_it_is_while_the_table_is_written_anew(
    two: FakeProcess, look: Open
) -> None:
    page = look()
    page.wait_for(row(SHOP), "Loaded")
    page.js(f"document.querySelector('#rows [data-site=\"{SHOP}\"]').focus()")
    two.site(SHOP, **release(7))
    page.wait_for(row(SHOP), "7")
    assert page.js("document.activeElement.dataset.site") == SHOP


def test_a_screen_reader_meets_names_and_roles(
    two: FakeProcess, look: Open, server: DashboardServer
) -> None:
    history = server.observer._history
    for number in range(5):
        history.record(time.time() - 60 + 10 * number, {SHOP: (2e7 + 1e6 * number, 100 * number)})
    page = look()
    page.wait_for(row(SHOP), "Loaded")
    page.js(f"location.hash = '#site={SHOP}'")
    page.wait_for("#detail", "Workers")
    tree = set(page.tree())
    for wanted in [
        ("heading", "All 2 sites are well."),
        ("searchbox", "Find sites by name, release or failure"),
        ("group", "Show the sites that are"),
        ("table", "The sites; the name of a site leads to its details"),
        ("columnheader", "State"),
        ("rowheader", SHOP),
        ("log", "Just now"),
        ("complementary", SHOP),
        ("table", "Workers"),
        ("link", "Close the details"),
        ("region", "Processes of the daemon"),
    ]:
        assert wanted in tree, [each for each in tree if each[0] == wanted[0]]
    images = [name for role, name in tree if role in ("image", "img")]
    assert any(name.startswith("Requests a second over the last 1 minute") for name in images)
    assert any("between 21 MB and 24 MB" in name for name in images), images
    pressed = "document.querySelector('#states [aria-pressed=true]').innerText"
    assert page.js(pressed).startswith("All")
    assert page.js("document.querySelector('[aria-sort]').innerText").startswith("State")


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1280, 2560])
def test_nothing_is_cut_off_on_a_screen_of_any_width(
    two: FakeProcess, look: Open, width: int
) -> None:
    long = f"{'a' * 40}.a-rather-long-name.of-a-site.domain.org"
    two.site(long, state="holding", failure=FAILURE, release=f"/srv/{'x' * 60}/{'y' * 90}")
    page = look()
    page.window(width, 800)
    page.wait_for("#rows", long)
    assert page.js(OVERFLOW) == []
    page.js(f"location.hash = '#site={long}'")
    page.wait_for("#detail", "Live since")
    assert page.js(OVERFLOW) == []


# What is broader than the window; what lies in a part that scrolls may be.
OVERFLOW = """
[...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility() && !each.closest(".scroll, #states, .hidden, .skip"))
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => `${each.tagName} ${each.className} ${each.innerText}`)
"""
