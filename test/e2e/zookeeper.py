"""A real ZooKeeper server for end-to-end tests: Debian's jars, one node, a free port of 127.0.0.1, data in a folder.

start() returns when it answers; kill9(), stop() and start() again keep port and data. Nothing outlives the test
(broker.spawn).
"""
import os
import pathlib
import shutil
import socket
import time

import broker
import kills

JARS = pathlib.Path("/usr/share/java")
NEEDED = ("zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-simple", "netty-all", "snappy-java", "metrics-core")
START_TIMEOUT_S = 60
TICK_MS = 200  # sessions last 2 to 20 of these


def require_tools():
    missing = [] if shutil.which("java") else ["java"]
    missing += [f"{jar}.jar" for jar in NEEDED if not (JARS / f"{jar}.jar").exists()]
    if missing:
        raise broker.ToolsMissing(f"{', '.join(missing)} not found: install default-jre-headless and libzookeeper-java")


class ZooKeeper:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._hold, self.port = broker.hold_port()
        self.quorum = f"127.0.0.1:{self.port}"
        self.process = None
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "zoo.cfg").write_text(
            f"tickTime={TICK_MS}\ndataDir={self.directory}/data\nclientPort={self.port}\n"
            "clientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n4lw.commands.whitelist=ruok\n")

    def start(self):
        log = open(self.directory / "log", "ab")
        jars = ":".join(os.fspath(JARS / f"{jar}.jar") for jar in NEEDED)
        self.process = broker.spawn(
            ["java", "-Xmx96m", "-XX:TieredStopAtLevel=1", "-cp", jars,
             "org.apache.zookeeper.server.ZooKeeperServerMain", self.directory / "zoo.cfg"], stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise broker.BrokerError(f"ZooKeeper does not start, see {self.directory}/log:\n"
                                         + (self.directory / "log").read_text()[-2000:])
            time.sleep(0.1)
        return self

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as one:
                one.sendall(b"ruok")
                return one.recv(4) == b"imok"
        except OSError:
            return False

    def kill9(self):
        kills.count("ZooKeeper")
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process is not None:
            broker.stop_process(self.process)
        self._hold.close()
