"""A headless Chromium, driven by its DevTools protocol over a pair of pipes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.waiting import DEADLINE, wait

PROGRAM = shutil.which("chromium")

# chromium reads commands from descriptor 3 and writes to 4. There is no sandbox for root, and no
# GPU; nothing of its own goes to the network.
_SHELL = 'exec "$0" "$@" 3<&"$IN" 4>&"$OUT"'
_OPTIONS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
    *("--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--no-default-browser-check", "--disable-extensions"),
    *("--hide-scrollbars", "--force-color-profile=srgb"),
)

Message = dict[str, Any]


class Chromium:
    """One page. ``requested`` are the URLs that it asked for."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM
        theirs_in, self._out = (_high(fd) for fd in os.pipe())
        self._in, theirs_out = (_high(fd) for fd in os.pipe())
        self._process = subprocess.Popen(
            ["bash", "-c", _SHELL, PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            env={**os.environ, "IN": str(theirs_in), "OUT": str(theirs_out), "HOME": str(profile)},
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.requested: list[str] = []
        self.faults: list[str] = []  # exceptions, and errors in the console
        pages = self.send("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in pages if each["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(DEADLINE)

    def send(self, method: str, **parameters: Any) -> Message:
        """Call a method and return its result; what happens meanwhile is noted."""
        self._number += 1
        message: Message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: Message = answer["result"]
        return result

    def _receive(self) -> Message:
        end = time.monotonic() + DEADLINE
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], max(0, end - time.monotonic()))[0], "no answer"
            block = os.read(self._in, 1 << 16)
            assert block, "chromium has ended"
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\0")
        message: Message = json.loads(line)
        return message

    def _note(self, event: Message) -> None:
        about = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(about["request"]["url"])
            case "Runtime.exceptionThrown":
                self.faults.append(json.dumps(about["exceptionDetails"]))
            case "Log.entryAdded" if about["entry"]["level"] == "error":
                self.faults.append(json.dumps(about["entry"]))

    # What a person does and sees

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def js(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page; a promise is waited for."""
        told = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def text(self, selector: str) -> str:
        """What an element shows, on one line."""
        chosen = f"document.querySelector({json.dumps(selector)})"
        shown = str(self.js(f"{chosen}?.checkVisibility() ? {chosen}.innerText : ''"))
        return " ".join(shown.split())

    def wait(self, expression: str, what: str) -> Any:
        return wait(
            lambda: self.js(expression),
            what,
            pause=0.05,
            tell=lambda: f"{self.faults}\n{self.js('document.body.innerText')}",
        )

    def wait_for(self, selector: str, words: str) -> None:
        """Until an element shows these words."""

        def shown() -> bool:
            return words in self.text(selector)

        wait(shown, f"{words!r} in {selector}", pause=0.05, tell=lambda: self.text("body"))

    def press(self, key: str, modifiers: int = 0) -> None:
        """A key, such as Tab or a; 8 is the modifier Shift."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Tab": 9, "Enter": 13, "Escape": 27}.get(key, ord(key.upper()[0]))
        about = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def window(self, width: int, height: int, scale: float = 1) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def scheme(self, name: str) -> None:
        """dark or light, as the person has chosen."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def tree(self) -> list[tuple[str, str]]:
        """Role and name of each node that a screen reader meets."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def picture(self, path: Path, whole: bool = False) -> None:
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


def _high(descriptor: int) -> int:
    """The same above 9: the shell must not take it for one that it makes."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
