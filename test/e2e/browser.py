"""A real browser, without a screen: what a person reads on a page, and what the page complains of.

What   Browser(directory) starts Chromium with one empty tab. show(url) opens a page, go(fragment) moves within one; wait_for()
       is met when all the words can be read there; click() presses what a person would; trouble() is everything that
       would stand in red in the browser's console: errors, exceptions, requests that failed or were answered 4xx or 5xx.
How    The DevTools protocol over --remote-debugging-pipe: JSON and a NUL, in at descriptor 3, out at 4. No name is
       resolved but this machine's. A dialog that asks is answered with yes.
Limits Every wait has an end. The browser ends when the pipe does, so it does not outlive the test.
"""

import fcntl
import json
import os
import pathlib
import queue
import shutil
import signal
import threading

import broker
import cluster

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
LIMIT_S = 30
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
           "--disable-background-networking", "--disable-component-update", "--window-size=1600,1200",
           "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe")
DOMAINS = ("Page", "Runtime", "Log", "Network")
ASKED = ("Document", "Fetch", "XHR")  # what a page shows; of what a worker loads nobody says that it is there
# The last that has exactly this text is the innermost.
CLICK = """((text, selector) => {
    const found = [...document.querySelectorAll(selector)].filter(
        it => it.innerText && it.innerText.trim() === text && it.getClientRects().length);
    if (found.length) found[found.length - 1].click();
    return found.length > 0;
})"""


def find():
    """The program's path, or broker.ToolsMissing."""
    for name in PROGRAMS:
        path = shutil.which(name)
        if path:
            return path
    raise broker.ToolsMissing("no Chromium found: install chromium-headless-shell")


class Browser:
    def __init__(self, directory):
        directory = pathlib.Path(directory)
        self.files = directory / "browser"
        near_in, far_out = _pipe()
        far_in, near_out = _pipe()
        # bash gives the descriptors the numbers that they must have, whatever they were.
        argv = ["bash", "-c", f'exec "$@" 3<&{far_in} 4>&{far_out}', "browser", find(), *OPTIONS,
                f"--user-data-dir={self.files}", "about:blank"]
        with open(directory / "browser.log", "ab") as log:
            self.process = broker.spawn(argv, stdout=log, stderr=log, pass_fds=(far_in, far_out))
        os.close(far_in)
        os.close(far_out)
        self._in, self._out = near_in, near_out
        self._sending, self._answers = threading.Lock(), queue.Queue()
        self._number, self._session = 0, None
        self._requests, self._trouble = {}, []  # what is asked for now, by id; words
        threading.Thread(target=self._read, daemon=True, name="browser").start()
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in DOMAINS:
            self._call(f"{domain}.enable")

    def close(self):
        """All of its processes, which are a group, and what they have written."""
        os.close(self._out)
        broker.stop_process(self.process)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

        def gone():
            shutil.rmtree(self.files, ignore_errors=True)
            return not self.files.exists()
        cluster.wait_until("the files of the browser are gone", gone)

    # ------------------------------------------------------------ the protocol

    def _send(self, method, params):
        with self._sending:
            self._number += 1
            message = {"id": self._number, "method": method, "params": params}
            if self._session:
                message["sessionId"] = self._session
            data = memoryview(json.dumps(message).encode() + b"\0")
            while data:
                data = data[os.write(self._out, data):]
            return self._number

    def _call(self, method, **params):
        number = self._send(method, params)
        while True:
            try:
                answer = self._answers.get(timeout=LIMIT_S)
            except queue.Empty:
                answer = None
            if answer is None:
                raise AssertionError(f"the browser has not answered {method} within {LIMIT_S} s, or has ended")
            if answer["id"] == number:
                break
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self):
        rest = bytearray()
        while data := os.read(self._in, 1 << 16):
            rest += data
            *messages, rest = rest.split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers.put(message)
                else:
                    self._take(message["method"], message["params"])
        os.close(self._in)
        self._answers.put(None)

    def _take(self, event, params):
        """An event, in the thread that reads."""
        number = params.get("requestId")
        if event == "Network.requestWillBeSent" and params.get("type") in ASKED:
            self._requests[number] = params["request"]["url"]
        elif event == "Network.responseReceived" and params["response"]["status"] >= 400:
            self._trouble.append(f"{params['response']['status']} {params['response']['url']}")
        elif event == "Network.loadingFinished":
            self._requests.pop(number, None)
        elif event == "Network.loadingFailed":
            url = self._requests.pop(number, params["type"])
            if not params.get("canceled"):  # which it is by who leaves the page
                self._trouble.append(f"{params['errorText']} {url}")
        elif event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self._trouble.append(f"{details['text']} {details.get('exception', {}).get('description', '')}")
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self._trouble.append(" ".join(str(it.get("value", it.get("description"))) for it in params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self._trouble.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif event == "Page.javascriptDialogOpening":
            self._send("Page.handleJavaScriptDialog", {"accept": True})

    # ------------------------------------------------------------ a person

    def evaluate(self, expression):
        """What JavaScript makes of it, as JSON."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def show(self, url):
        answer = self._call("Page.navigate", url=url)
        if "errorText" in answer:
            raise AssertionError(f"{url}: {answer['errorText']}")

    def go(self, fragment):
        self.evaluate(f"location.hash = {json.dumps(fragment)}")

    def text(self):
        """What can be read, each run of white space a blank."""
        return " ".join((self.evaluate("document.body ? document.body.innerText : ''") or "").split())

    def wait_for(self, *words):
        """Until all of them can be read and no request is under way; returns the text."""
        def shown():
            text = "" if self._requests else self.text()  # which costs the page a layout
            return text if text and all(word in text for word in words) else None
        return cluster.wait_until(f"{words} on the page {self.evaluate('location.href')}", shown, LIMIT_S, self._context)

    def _context(self):
        return f"which says: {self.text()[:6000]}\ntrouble: {self._trouble}\nunder way: {list(self._requests.values())}"

    def click(self, text, selector="a, button, td, div, span, i"):
        """What has this text, when it is there."""
        call = f"{CLICK}({json.dumps(text)}, {json.dumps(selector)})"
        cluster.wait_until(f"'{text}' to click on", lambda: self.evaluate(call), LIMIT_S, self._context)

    def trouble(self):
        """What there was since the last time this was asked."""
        had, self._trouble = self._trouble, []
        return had


def _pipe():
    """(read, write), both above the numbers that the browser wants."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high
