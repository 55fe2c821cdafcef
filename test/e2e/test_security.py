#!/usr/bin/env python3
"""A cluster that strangers can reach: TLS, the token, certificates of clients; and what strangers send to its ports.

Everything is on the loopback. Without a token strangers are the other users of the machine: only root can be several.
"""
import hashlib
import http.client
import os
import pathlib
import re
import resource
import select
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import unittest

import cluster
import program
import secure

FRAME = struct.Struct("<4sIII")  # net/net.h: magic, kind, size, checksum
REGISTER = 3
STRANGERS_MAX, ACCEPTED_MAX = 1024, 64  # net/net.h: of the port for task managers; of a port in a turn
HTTP_CONNECTIONS_MAX = 256  # net/http_server.h
FLOOD = 10000
OTHER_FILES = 64  # more than a job manager opens meanwhile: jobs, executables, connections that are known


class Flood:
    """Connections to a port of process `pid` that never say a whole word, all of them held at once."""

    def __init__(self, pid, port, words):
        self.pid, self.port, self.words = pid, port, words
        self.held = []
        self.idle = self.peak = len(os.listdir(f"/proc/{pid}/fd"))

    def grow(self, count):
        for index in range(count):
            self.held.append(socket.create_connection(("127.0.0.1", self.port), 30))
            try:
                self.held[-1].send(self.words)
            except ConnectionError:
                pass  # closed already
            if index % 50 == 0:
                self.look()

    def renew(self, count):
        """Of those that the other side has closed, so many begin again."""
        for connection in self.closed()[:count]:
            self.held.remove(connection)
            connection.close()
            self.grow(1)

    def look(self):
        self.peak = max(self.peak, len(os.listdir(f"/proc/{self.pid}/fd")))

    def closed(self):
        """Those that the other side has closed."""
        self.look()
        poll = select.poll()
        for connection in self.held:
            poll.register(connection, select.POLLRDHUP)
        gone = {descriptor for descriptor, _ in poll.poll(0)}
        return [connection for connection in self.held if connection.fileno() in gone]

    def close(self):
        for connection in self.held:
            connection.close()


class SecurityTest(secure.SecureTest):
    def run_job(self, one, name="out"):
        """Over all task managers, so that records go between machines."""
        output = self.directory / name
        job = one.submit("steady", "--count", "20000", "--rate", "20000", "--parallelism", "4", "--output", output,
                         "--checkpoints", self.directory / f"{name}-checkpoints", "--checkpoint-interval", "200ms")
        job.wait("FINISHED")
        self.assertEqual(len(one.worker_logs(job)), 2, one.logs())
        program.check_steady(output, 20000)

    def refused_daemon(self, one, words, **settings):
        """A task manager that the cluster does not take, and that says why."""
        daemon = one.start_task_manager(**settings)
        one.wait_until(f"it says '{words}'", lambda: words in daemon.said())
        self.assertNotIn("is registered", daemon.said())
        daemon.close()
        return daemon

    # ------------------------------------------------------------ who may talk

    def test_a_whole_cluster_speaks_tls_and_asks_for_the_token(self):
        self.make_certificates()
        settings = {**self.tls(), "security.token-file": self.token_file}
        one = self.start_cluster(context=self.context(), token=secure.TOKEN, settings=settings)
        self.run_job(one)
        port = one.rest_ports[0]
        for path in ("/v1/overview", "/", "/v1/blobs/" + "0" * 64):
            self.assertEqual(one.request(port, "GET", path, token="another")[0], 401)
        self.assertEqual(one.request(port, "PUT", "/v1/blobs/" + "0" * 64, b"x", token="another")[0], 401)
        with self.assertRaises(cluster.NoLeader):
            cluster.request(port, "GET", "/v1/overview")  # plain
        with self.assertRaises(ssl.SSLError):
            with ssl.create_default_context().wrap_socket(socket.create_connection(("127.0.0.1", port), 10),
                                                          server_hostname="localhost"):
                pass  # one that does not know the CA
        self.write_secret(self.keys / "wrong", "wrong")
        self.refused_daemon(one, "its token is not that of this cluster", security__token_file=self.keys / "wrong")
        self.refused_daemon(one, "certificate", security__ssl__ca=self.keys / "other-ca.pem")
        self.refused_daemon(one, "no connection to job manager", security__ssl__enabled="false")
        self.run_job(one, "again")

    def test_the_certificates_of_the_document_are_taken(self):
        text = (program.ROOT / "docs/OPERATIONS.md").read_text(encoding="utf-8")
        block = re.search(r"```sh\n(key=.*?)```", text, re.DOTALL).group(1)
        subprocess.run(["bash", "-ec", block], cwd=self.keys, check=True, timeout=60, capture_output=True)
        one = self.start_cluster(context=self.context("machine"), settings=self.tls(mutual=True))
        self.run_job(one)

    def test_with_mutual_tls_who_has_no_certificate_is_nobody(self):
        self.make_certificates()
        one = self.start_cluster(context=self.context("machine"), settings=self.tls(mutual=True))
        self.run_job(one)
        for context in (self.context(), self.context("stranger")):
            one.context, known = context, one.context
            with self.assertRaises((OSError, http.client.HTTPException)):
                one.request(one.rest_ports[0], "GET", "/v1/overview")
            one.context = known
        self.refused_daemon(one, "no connection to job manager", security__ssl__mutual="false")
        self.refused_daemon(one, "no connection to job manager", security__ssl__cert=self.keys / "stranger.pem",
                            security__ssl__key=self.keys / "stranger.key")
        self.run_job(one, "again")

    def test_records_between_workers_go_over_tls_with_certificates_of_both(self):
        self.make_certificates()
        first = cluster.free_port()
        settings = {**self.tls(), "security.token-file": self.token_file, "taskmanager.data.port": first}
        one = self.start_cluster(context=self.context(), token=secure.TOKEN, settings=settings)
        job = one.submit("steady", "--rate", "2000", "--count", "1000000000", "--output", self.output, "--parallelism", "4",
                         "--checkpoints", self.checkpoints, "--checkpoint-interval", "200ms")
        job.wait_checkpoints(1)
        ports = one.wait_until("both workers listen, one behind the other", lambda: self.listening(one, first))
        self.assertEqual(len(ports), 2)
        for port in ports:
            self.assertIsNone(self.handshake(port, self.context("machine")))
            for context in (self.context(), self.context("stranger"), ssl.create_default_context()):
                self.assertIsNotNone(self.handshake(port, context))
            self.assertEqual(self.ends(port, b"plain words"), b"", "not one byte in plain")
        job.wait_checkpoints(1)
        self.assertEqual(job.restarts(), 0)
        job.cancel()

    def listening(self, one, first):
        """Ports from `first` on that workers have opened."""
        inodes = set()
        for pid in one.workers():
            for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                try:
                    inodes.add(os.readlink(descriptor))
                except OSError:
                    pass
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        rows += [line.split() for line in pathlib.Path("/proc/net/tcp6").read_text().splitlines()[1:]]
        ports = {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}
        return sorted(ports) if ports and min(ports) >= first and max(ports) < first + 1000 else None

    def handshake(self, port, context):
        """None: both sides are content. In TLS 1.2 the verdict on the client is part of it."""
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost"):
                return None
        except ssl.SSLError as error:
            return error

    def test_no_port_is_opened_to_others_without_protection(self):
        self.make_certificates()
        tls = [part for key, value in self.tls().items() for part in ("-D", f"{key}={value}")]
        for daemon, key in (("weir-jobmanager", "jobmanager.bind-host"), ("weir-jobmanager", "rest.bind-address"),
                            ("weir-taskmanager", "taskmanager.bind-host")):
            for address in ("0.0.0.0", "::", "192.0.2.1"):
                for options in ([], tls, ["-D", f"security.token-file={self.token_file}"]):
                    with self.subTest(daemon=daemon, key=key, address=address, options=options):
                        result = program.run(daemon, "--conf", "/dev/null", "-D", f"{key}={address}", *options)
                        self.assert_refused(result, program.EXIT["usage"], key, "security.ssl.enabled", "localhost")

    def test_secrets_that_others_may_read_are_refused_at_the_start(self):
        self.make_certificates()
        for mode in (0o644, 0o660, 0o604):
            self.token_file.chmod(mode)
            (self.keys / "machine.key").chmod(mode)
            for daemon in ("weir-jobmanager", "weir-taskmanager"):
                for path, settings in ((self.token_file, {"security.token-file": self.token_file}),
                                       (self.keys / "machine.key", self.tls())):
                    with self.subTest(daemon=daemon, path=path, mode=mode):
                        words = (part for key, value in settings.items() for part in ("-D", f"{key}={value}"))
                        result = program.run(daemon, "--conf", os.devnull, *words)
                        self.assert_refused(result, program.EXIT["usage"], f"(mode {mode:04o}): chmod 600 '{path}'")

    def test_a_cluster_that_was_started_with_a_token_and_tls_is_operated_without_saying_so(self):
        self.make_certificates()
        port, home = cluster.free_port(), self.directory / "home"
        settings = {**self.tls(mutual=True), "security.token-file": self.token_file, "rest.port": port,
                    "jobmanager.rpc.port": cluster.free_port(), "io.tmp.dirs": self.directory / "tmp"}
        env = {**os.environ, "WEIR_HOME": str(home), "WEIR_CONF": os.devnull,
               "PATH": f"{program.BIN}:{os.environ['PATH']}"}  # where the job finds weir

        def weir(*words):
            result = program.run("weir", *words, env=env)
            self.assertEqual(result.status, 0, f"{words}\n{result.out}\n{result.err}")
            return result.out
        (self.directory / "tmp").mkdir()
        self.addCleanup(program.run, "weir", "cluster", "stop", env=env)
        weir("cluster", "start", *(part for key, value in settings.items() for part in ("-D", f"{key}={value}")))
        arguments = ("--count", "1000", "--output", self.output, "--checkpoints", self.checkpoints)
        self.assertIn("has finished", weir("run", program.path_of("steady"), *arguments))
        self.assertIn("(FINISHED)", weir("list", "-a"))
        self.assertIn("1 task manager,", weir("cluster", "status"))
        itself = program.run("steady", "run", "--cluster", f"localhost:{port}", *arguments[:2], "--output",
                             self.directory / "itself", "--checkpoints", self.directory / "of-itself", env=env)
        self.assert_well(itself)
        self.assertNotIn(secure.TOKEN, (home / "address").read_text())
        self.assertIn("Stopped 2 processes.", weir("cluster", "stop"))
        self.assertIn("no job manager answers at http://localhost:",
                      program.run("weir", "list", "-m", f"localhost:{port}", env=env).err, "all of it is forgotten")

    # ------------------------------------------------------------ what strangers send

    def frame(self, kind, payload, size=None, magic=b"WRF\1"):
        return FRAME.pack(magic, kind, len(payload) if size is None else size, 0) + payload

    def ends(self, port, data):
        """It is closed after the bytes; what was answered before."""
        with socket.create_connection(("127.0.0.1", port), 10) as one:
            one.settimeout(20)
            answer = b""
            try:
                one.sendall(data)
                while part := one.recv(1 << 16):
                    answer += part
            except ConnectionError:
                pass
            return answer

    def test_what_is_no_message_is_closed_and_the_cluster_goes_on(self):
        one = self.start_cluster(token=secure.TOKEN, settings={"security.token-file": self.token_file})
        port = one.rest_ports[0]
        for data in (b"GET / HTTP/1.1\r\n\r\n", self.frame(REGISTER, b"x" * 100), self.frame(REGISTER, b"", 1 << 31),
                     self.frame(REGISTER, b"", 0xffffffff), self.frame(REGISTER, b"", magic=b"WRF\2"), os.urandom(1 << 20)):
            self.assertEqual(self.ends(one.rpc_port, data), b"", data[:32])
            self.assertEqual(one.request(port, "GET", "/v1/overview")[0], 200, data[:32])
        for status, data in ((431, b"\0" * 100000), (431, b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n"),
                             (400, b"GET /\0 HTTP/1.1\r\n\r\n"), (505, b"GET / HTTP/9.9\r\n\r\n"),
                             (400, b"PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n")):
            self.assertRegex(self.ends(port, data), rb"^HTTP/1\.1 %d " % status, data[:32])
            self.assertEqual(one.request(port, "GET", "/v1/overview")[0], 200, data[:32])
        self.run_job(one)

    def test_ten_thousand_who_say_nothing_keep_nobody_out(self):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertGreater(limits[1], FLOOD + 1000, "too few open files for this test: raise ulimit -Hn")
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        one = self.start_cluster(settings={"heartbeat.timeout": "5s"})
        job = one.submit("steady", "--rate", "2000", "--count", "1000000000", "--output", self.output, "--parallelism", "2",
                         "--checkpoints", self.checkpoints, "--checkpoint-interval", "200ms")
        job.wait("RUNNING")
        for port, words, bound in ((one.rpc_port, b"WRF\1", STRANGERS_MAX),
                                   (one.rest_ports[0], b"GET / HTT", HTTP_CONNECTIONS_MAX)):
            flood = Flood(one.job_managers[0].pid, port, words)
            self.addCleanup(flood.close)
            flood.grow(FLOOD)
            one.wait_until(f"at most {bound} are open", lambda: len(flood.held) - len(flood.closed()) <= bound)
            self.assertNotIn(flood.held[-1], flood.closed(), "the oldest go for new ones")
            one.start_task_manager()

            def registered():
                """While others keep coming; every single question has its answer."""
                flood.renew(100)
                return len(one.get("/v1/taskmanagers")["taskmanagers"]) == len(one.task_managers)
            one.wait_until("a task manager comes in between them", registered)
            self.assertEqual(len(flood.held), FLOOD)
            self.assertGreaterEqual(flood.peak, bound)
            self.assertLessEqual(flood.peak, flood.idle + bound + ACCEPTED_MAX + OTHER_FILES)
            job.wait_checkpoints(2)
            flood.close()
        self.assertEqual(job.restarts(), 0, one.logs())
        job.cancel()

    def test_paths_lead_nowhere_else(self):
        ui = self.directory / "ui"
        ui.mkdir()
        (ui / "index.html").write_text("the page")
        (self.directory / "secret.html").write_text("the secret")
        one = self.start_cluster(task_managers=0, settings={"web.ui-dir": ui})
        port = one.rest_ports[0]
        self.assertEqual(one.request(port, "GET", "/index.html"), (200, b"the page"))
        for path in ("/../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "/ui/../../secret.html", "//etc/passwd",
                     "/%2fetc/passwd", "/..%5csecret.html", "/%00/../secret.html", "/./../secret.html", "/index.html%00.txt",
                     "/v1/blobs/..%2f..%2fsecret.html", "/v1/blobs/../../secret.html", "/v1/blobs/" + "." * 64,
                     "/v1/blobs/" + "A" * 64, "/v1/jobs/..%2f..%2fx", "/v1/jobs/" + "g" * 32):
            status, text = one.request(port, "GET", path)
            self.assertIn(status, (400, 404), path)
            self.assertNotIn(b"secret\n", text)
            self.assertNotIn(b"the secret", text)
            self.assertNotIn(b"root:", text)

    def test_an_executable_is_what_its_digest_says_or_nothing(self):
        one = self.start_cluster(task_managers=1, token=secure.TOKEN,
                                 settings={"security.token-file": self.token_file, "blob.size-max": "1MB"})
        port, data = one.rest_ports[0], b"#!/bin/sh\nexit 0\n"
        digest = hashlib.sha256(data).hexdigest()
        self.assertEqual(one.request(port, "PUT", f"/v1/blobs/{digest}", data + b"#")[0], 400)
        self.assertEqual(one.request(port, "GET", f"/v1/blobs/{digest}")[0], 404)
        with self.assertRaises(cluster.Refused) as refused:
            one.ask("POST", "/v1/jobs", {"digest": digest, "program": "x", "arguments": []})
        self.assertIn(refused.exception.status, (400, 404, 409))
        self.assertEqual(one.request(port, "PUT", f"/v1/blobs/{digest}", data, token="wrong")[0], 401)
        large = b"x" * (1 << 21)
        try:
            status = one.request(port, "PUT", "/v1/blobs/" + hashlib.sha256(large).hexdigest(), large)[0]
        except ConnectionError:
            status = 413  # refused before all of it was sent
        self.assertEqual(status, 413)
        job_status = one.request(port, "PUT", f"/v1/blobs/{digest}", data)[0]
        self.assertEqual(job_status, 201)
        job = cluster.Job(one, one.ask("POST", "/v1/jobs", {"digest": digest, "program": "x", "arguments": []})["jobid"])
        job.wait("FAILED")  # it is no job of Weir

    def test_who_sends_slowly_holds_up_nobody(self):
        one = self.start_cluster()
        slow = []
        try:
            for index in range(300):  # more than connections of REST
                connection = socket.create_connection(("127.0.0.1", one.rest_ports[0]), 10)
                connection.sendall(b"PUT /v1/blobs/" + b"0" * 64 + b" HTTP/1.1\r\nContent-Le")
                slow.append(connection)
            self.run_job(one)
        finally:
            for connection in slow:
                connection.close()


class OtherUsersTest(program.ProgramTest):
    """A cluster of OWN, without a token, on a machine that others use, too."""

    OWN, OTHER = 65534, 65533

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            print("SKIPPED: other users: only root can be somebody else", file=sys.stderr, flush=True)
            self.skipTest("not root")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="weir-users-", dir="/tmp"))  # $TMPDIR may be one's own
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.chmod(0o755)
        self.bin = self.directory / "bin"
        self.bin.mkdir()
        for name in ("weir", "weir-jobmanager", "weir-taskmanager", "steady", "wordcount"):
            shutil.copy(program.path_of(name), self.bin / name)  # where everybody reaches them
            (self.bin / name).chmod(0o755)
        for user in (self.OWN, self.OTHER):
            place = self.directory / str(user)
            place.mkdir()
            os.chown(place, user, user)
        self.port, self.rpc_port = cluster.free_port(), cluster.free_port()
        self.settings = {"rest.port": self.port, "jobmanager.rpc.port": self.rpc_port}

    def command(self, user, name, words):
        place = self.directory / str(user)
        env = {**os.environ, "WEIR_CONF": os.devnull, "WEIR_HOME": str(place / "home"), "TMPDIR": str(place)}
        before = () if user == 0 else ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
        return [*before, os.fspath(self.bin / name), *(str(word) for word in words)], env

    def weir(self, user, *words, status=0):
        argv, env = self.command(user, "weir", words)
        done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, status, f"{user}: {words}\n{done.stdout}\n{done.stderr}")
        return done.stderr if status else done.stdout

    def words(self, **settings):
        return [part for key, value in {**self.settings, **settings}.items() for part in ("-D", f"{key}={value}")]

    def start(self, user, **settings):
        argv, env = self.command(user, "weir", ("cluster", "stop"))
        self.addCleanup(subprocess.run, argv, env=env, cwd="/", timeout=120, capture_output=True)
        self.weir(user, "cluster", "start", *self.words(**settings), "--slots", 4)

    def task_manager_says(self, user, words, **settings):
        """One of that user's, which is not taken, or does not take the job manager, until it says so."""
        log = self.directory / "task-manager.log"
        argv, env = self.command(user, "weir-taskmanager", self.words(**settings))
        with open(log, "ab") as out:
            one = subprocess.Popen(argv, env=env, cwd="/", stdout=out, stderr=out)
        try:
            cluster.wait_until(f"it says '{words}'", lambda: words in log.read_text(), context=log.read_text)
        finally:
            one.terminate()
            self.assertEqual(one.wait(60), 0, log.read_text())
        self.assertNotIn("is registered at", log.read_text())

    def job(self, user, name="steady"):
        place = self.directory / str(self.OWN)
        return (self.bin / name, "--count", 10**9, "--rate", 100, "--output", place / f"out-{user}", "--checkpoints",
                place / f"checkpoints-{user}")

    def test_they_may_look_and_change_nothing(self):
        self.start(self.OWN)
        at = ("-m", f"localhost:{self.port}")
        job = self.weir(self.OWN, "run", "-d", *self.job(self.OWN)).split()[-1]
        self.assertIn(job, self.weir(self.OTHER, "list", *at))
        self.weir(self.OTHER, "explain", *at, job)
        refused = f"one end of the connection belongs to user {self.OTHER}, the other one to user {self.OWN}"
        for words in (("run", *at, *self.job(self.OTHER)),  # that executable is there
                      ("run", *at, self.bin / "wordcount", "--input", "/"), ("cancel", *at, job),
                      ("stop", *at, "-p", self.directory, job), ("savepoint", *at, job, self.directory),
                      ("checkpoint", *at, job), ("rescale", *at, job, 2), ("savepoint", *at, "-d", "/tmp/none")):
            with self.subTest(words=words[0]):
                said = self.weir(self.OTHER, *words, status=1)
                self.assertIn("says (403): ", said)
                self.assertIn(refused, said)
                self.assertIn("security.token-file", said)
        self.assertEqual(self.weir(self.OTHER, "list", *at, "-a").count(" : steady ("), 1)
        another = self.weir(0, "run", *at, "-d", *self.job(0)).split()[-1]  # root may
        for one in (another, job):
            self.weir(self.OWN, "cancel", one)
        cluster.wait_until("both are over", lambda: self.weir(0, "list", *at, "-a").count("(CANCELED)") == 2)

    def test_their_task_managers_are_not_taken(self):
        self.start(self.OWN)
        self.task_manager_says(self.OTHER, "it refuses this task manager: all processes of a cluster run as one user")
        self.assertIn("1 task manager, 4 of 4 slots free", self.weir(self.OWN, "cluster", "status"))

    def test_what_they_have_put_in_the_place_of_the_job_manager_is_not_obeyed(self):
        # it has its ports, which are free while the job manager does not run, and takes every task manager
        tokens = {}
        for user in (self.OWN, self.OTHER):
            tokens[user] = self.directory / str(user) / "token"
            secure.SecureTest.write_secret(tokens[user], secure.TOKEN)
            os.chown(tokens[user], user, user)
        self.start(self.OTHER, **{"security.token-file": tokens[self.OTHER]})
        self.task_manager_says(self.OWN, "or use security.ssl.enabled: one end of the connection belongs to user",
                               **{"security.token-file": tokens[self.OWN]})


if __name__ == "__main__":
    unittest.main()
