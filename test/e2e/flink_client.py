"""The command line client of Apache Flink, and its dashboard, unmodified, against a cluster of Weir.

What   Client(version, directory, rest_port) runs org.apache.flink.client.cli.CliFrontend with a configuration that
       names nothing but the address. fetch(version) brings it by Maven, once, to build/flink-client/<version>/lib;
       fetch_dashboard(version) the files of the dashboard, to build/flink-dashboard/<version>/web.
How    Between client and cluster is a cluster.Proxy, because the client opens a connection for each request: so a test
       sees how often it asked. It asks 21 times within a minute for what it cannot read.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess

import broker
import cluster

VERSIONS = ("1.20.3", "2.3.0")
POM = broker.HERE / "flink-client" / "pom.xml"
PLACE = broker.BUILD / "flink-client"
DASHBOARD = broker.BUILD / "flink-dashboard"
LIMIT_S = 120
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


def _stamp_text():
    return hashlib.sha256(POM.read_bytes()).hexdigest() + "\n"


def _bring(what, place, goal, *options):
    """By a goal of Maven's, once. broker.ToolsMissing when it is not here and cannot be brought."""
    stamp = place / "stamp"
    if not shutil.which("java"):
        raise broker.ToolsMissing(f"java not found: {broker.INSTALL_HINT}")
    if stamp.exists() and stamp.read_text() == _stamp_text():
        return
    if not shutil.which("mvn"):
        raise broker.ToolsMissing(f"mvn not found: {broker.INSTALL_HINT}")
    shutil.rmtree(place, ignore_errors=True)
    argv = ["mvn", "-q", "-B", "-f", POM, f"dependency:{goal}", *options]
    done = subprocess.run([os.fspath(part) for part in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=broker.FETCH_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise broker.ToolsMissing(f"Maven could not fetch Flink's {what}:\n{done.stdout[-2000:]}")
    stamp.write_text(_stamp_text())


def fetch(version):
    _bring(f"client {version}", PLACE / version, "copy-dependencies", f"-Dflink.version={version}",
           f"-DoutputDirectory={PLACE / version / 'lib'}", "-DincludeScope=runtime")


def fetch_dashboard(version):
    _bring(f"dashboard {version}", DASHBOARD / version, "unpack", f"-Dflink.version={version}",
           f"-Dartifact=org.apache.flink:flink-runtime-web:{version}", f"-DoutputDirectory={DASHBOARD / version}",
           "-Dmdep.unpack.includes=web/**")


class Client:
    def __init__(self, version, directory, rest_port):
        self.version = version
        self.proxy = cluster.Proxy(rest_port)
        self.conf = pathlib.Path(directory)
        self.conf.mkdir(parents=True)
        (self.conf / "config.yaml").write_text(f"rest.address: 127.0.0.1\nrest.port: {self.proxy.port}\n")

    def run(self, *arguments):
        """A subprocess.CompletedProcess with `requests`, how often it asked."""
        argv = [*JAVA, "-cp", PLACE / self.version / "lib" / "*", "org.apache.flink.client.cli.CliFrontend", *arguments]
        before = len(self.proxy.pairs)
        done = subprocess.run([os.fspath(part) for part in argv], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=LIMIT_S, check=False,
                              env={**os.environ, "FLINK_CONF_DIR": os.fspath(self.conf)})
        done.requests = len(self.proxy.pairs) - before
        return done

    def close(self):
        self.proxy.close()
