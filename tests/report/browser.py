"""Headless Chromium, driven over pipes by the DevTools protocol; no package needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

#: Seconds that a single step may take on a busy machine.
PATIENCE = 60.0
#: Codes of keys, as Windows has them.
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36}
_KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def executable() -> str | None:
    """Return the browser of this machine, if it has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A page in a browser of its own, with every request and error that it made.

    Parameters
    ----------
    profile : Path
        An empty folder.
    width, height : int
        Of the window, CSS pixels.
    """

    def __init__(self, profile: Path, *, width: int = 1280, height: int = 900) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        options = ["--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        options += ["--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        # the protocol's pipes are descriptors 3 and 4 by definition
        start = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        command = [str(executable()), *options, "--remote-debugging-pipe", "about:blank"]
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", start, "browser", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._attach()
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.call("Browser.close", whole=True)
            self._process.wait(10)
        except (RuntimeError, TimeoutError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(10)
        os.close(self._write)
        os.close(self._read)

    def _attach(self) -> None:
        """Take the first page, and listen to what it asks for and complains of."""
        targets = self.call("Target.getTargets", whole=True)["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        found = self.call(
            "Target.attachToTarget", whole=True, targetId=page["targetId"], flatten=True
        )
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, *, whole: bool = False, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, of the page or of the whole browser."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if not whole:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._next(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self, until: float) -> dict[str, Any]:
        """Read a message; note requests and errors on the way."""
        while b"\0" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise TimeoutError("the browser did not answer")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("the browser went away")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(params["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(json.dumps(params["args"]))
        elif method == "Page.javascriptDialogOpening":
            self.errors.append(f"dialog: {params['message']}")

    def resize(self, width: int, height: int) -> None:
        """Set the window, CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def open(self, page: Path) -> None:
        """Open a report and wait until everything in it is drawn."""
        self.call("Page.navigate", url=page.resolve().as_uri())
        until = time.monotonic() + PATIENCE
        while not self.value("document.readyState === 'complete' && !!window.genpredict"):
            if self.errors or time.monotonic() > until:
                raise RuntimeError(f"the page did not start: {self.errors}")
            time.sleep(0.05)
        assert self.value("window.genpredict.ready") is True

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page; promises are waited for."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def hover(self, x: float, y: float) -> None:
        """Move the mouse there, from a little beside."""
        for at in (x - 2, x):
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=at, y=y)

    def press(self, key: str) -> None:
        """Press and release a key, by its name in JavaScript."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key,
                windowsVirtualKeyCode=_KEYS[key], **text,
            )  # fmt: skip

    def choose(self, select: str, option: str) -> None:
        """Choose in a drop-down as a user does, and wait until the panel is drawn anew."""
        chart = "document.querySelector('#chart-A')"
        before = self.value(f"{chart}.dataset.drawn")
        self.value(
            f"(() => {{ const s = document.querySelector({json.dumps(select)});"
            f"s.value = {json.dumps(option)}; s.dispatchEvent(new Event('change')); }})()"
        )
        until = time.monotonic() + PATIENCE
        while self.value(f"{chart}.dataset.drawn") == before:
            if time.monotonic() > until:
                raise TimeoutError(f"{select} = {option}: nothing was drawn")
            time.sleep(0.02)

    def pause(self, seconds: float) -> None:
        """Let the page go on for a while."""
        self.value(f"new Promise((done) => setTimeout(() => done(true), {1000 * seconds}))")

    def screenshot(self, path: Path) -> None:
        """Save the whole page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))
