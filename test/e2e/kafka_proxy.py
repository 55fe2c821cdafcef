"""A TCP proxy in front of a broker that knows enough of the Kafka protocol to lose the right byte.

What   Proxy(port) listens on a free port of 127.0.0.1 and passes everything on to the broker's. Told
       so, it loses the reply to an EndTxn request (a commit whose outcome its sender cannot know), or
       holds an EndTxn request back while its connection dies (a commit that arrives much later), or lets
       fetches be answered as by a broker that is not the leader any more and has less.
How    Both directions are streams of frames: size (4 bytes), then for a request api_key (2),
       api_version (2), correlation_id (4), for a reply correlation_id (4). Of replies to Fetch (versions 7
       to 11) the code of the first partition is replaced. Nothing else is looked at.
       The broker must advertise the proxy's address: see `settings`.
Limits One thread a direction and connection: for a few clients. Not for measuring.
"""

import socket
import struct
import threading
import time

FETCH = 1
END_TXN = 26
OFFSET_OUT_OF_RANGE = 1


class Proxy:
    """with Proxy() as proxy: Broker(..., settings=proxy.settings); proxy.connect_to(port)"""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.settings = {"advertised.listeners": f"PLAINTEXT://{self.address}"}
        self.lost_replies = 0
        self.late_commits = 0
        self.denied_fetches = 0
        self._target = None
        self._lock = threading.Lock()
        self._lose_replies = 0  # how many more
        self._deny_fetches = 0  # how many more
        self._hold = []  # seconds for which to hold the next commits back; None: not at all
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def connect_to(self, port):
        self._target = ("127.0.0.1", port)

    def lose_replies(self, count):
        """The broker does the next `count` EndTxn, the client never hears of it."""
        with self._lock:
            self._lose_replies += count

    def hold_commit(self, number, seconds):
        """The EndTxn with that number from now on (1: the next) reaches the broker `seconds` later; its
        client is cut off at once, and asks again."""
        with self._lock:
            self._hold = [None] * (number - 1) + [seconds]

    def deny_fetches(self, count):
        """The next `count` replies to fetches say that the offset of their first partition does not exist."""
        with self._lock:
            self._deny_fetches += count

    def idle(self):
        """Whether all that was asked for has happened."""
        with self._lock:
            return self._lose_replies == 0 and self._deny_fetches == 0 and not self._hold

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=10)
            except (OSError, TypeError):
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):  # small frames, each waited for
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(self, client, server)
            threading.Thread(target=link.requests, daemon=True).start()
            threading.Thread(target=link.replies, daemon=True).start()

    def _take_loss(self):
        with self._lock:
            if self._lose_replies == 0:
                return False
            self._lose_replies -= 1
            self.lost_replies += 1
            return True

    def _deny(self, frame):
        """The reply, with another code if that was asked for and there is a partition in it."""
        topics = struct.unpack_from(">i", frame, 18)[0]  # size, correlation_id, throttle_ms, error, session
        if topics == 0:
            return frame
        with self._lock:
            if self._deny_fetches == 0:
                return frame
            self._deny_fetches -= 1
            self.denied_fetches += 1
        at = 24 + struct.unpack_from(">h", frame, 22)[0] + 8  # behind name, count and number of the partition
        return frame[:at] + struct.pack(">h", OFFSET_OUT_OF_RANGE) + frame[at + 2:]

    def _take_hold(self):
        with self._lock:
            if not self._hold:
                return None
            seconds = self._hold.pop(0)
            self.late_commits += seconds is not None
            return seconds


class _Link:
    """One client's connection, and the proxy's own to the broker."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.losing = set()  # correlation ids whose reply is to be lost
        self.fetching = set()  # correlation ids of fetches

    def requests(self):
        try:
            while True:
                frame = _read_frame(self.client)
                api_key, _, correlation_id = struct.unpack_from(">hhi", frame, 4)
                if api_key == FETCH:
                    self.fetching.add(correlation_id)
                if api_key == END_TXN:
                    seconds = self.proxy._take_hold()
                    if seconds is not None:
                        return self._deliver_late(frame, seconds)
                    if self.proxy._take_loss():
                        self.losing.add(correlation_id)
                self.server.sendall(frame)
        except OSError:
            self._close()

    def _deliver_late(self, frame, seconds):
        _close(self.client)  # the client gives up on this connection, and asks again on a new one
        time.sleep(seconds)
        self.server.sendall(frame)
        time.sleep(1)
        self._close()

    def replies(self):
        try:
            while True:
                frame = _read_frame(self.server)
                correlation_id = struct.unpack_from(">i", frame, 4)[0]
                if correlation_id in self.losing:
                    return self._close()
                if correlation_id in self.fetching:
                    self.fetching.discard(correlation_id)
                    frame = self.proxy._deny(frame)
                self.client.sendall(frame)
        except OSError:
            self._close()

    def _close(self):
        _close(self.client)
        _close(self.server)


def _close(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


def _read_frame(connection):
    head = _read_exactly(connection, 4)
    return head + _read_exactly(connection, struct.unpack(">i", head)[0])


def _read_exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return bytes(data)
