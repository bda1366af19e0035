"""What goes over all interfaces of a network namespace: as a script, written to a file; read back as streams of TCP."""

import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager

ALL, STATISTICS, PACKET = 3, 6, 263  # ETH_P_ALL, PACKET_STATISTICS, SOL_PACKET: Linux's, which Python does not name
BUFFER_FORCE = 33  # SO_RCVBUFFORCE
IPV4, TCP = 0x0800, 6


@contextmanager
def captured(namespace, file):
    """Write what goes over the interfaces of ``namespace`` to ``file`` while the block lasts; no frame may be lost."""
    command = ["ip", "netns", "exec", namespace, sys.executable, __file__, str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "listening\n"
    try:
        yield
        time.sleep(1)  # for what is still in the buffer
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert said == "lost: 0\n"


def frames(file):
    """All of them, in order; one that is forwarded is there once for every interface."""
    data, start = file.read_bytes(), 0
    while start + 4 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        yield data[start + 4 : start + 4 + length]
        start += 4 + length


def streams(file):
    """What each TCP connection carried in one direction, by (from, port, to, port); and all other frames, joined."""
    segments, others = {}, []
    for frame in frames(file):
        if (found := _segment(frame)) is None:
            others.append(frame)
            continue
        flow, number, payload = found
        own = segments.setdefault(flow, {})
        if payload and len(own.get(number, b"")) < len(payload):
            own[number] = payload
    return {flow: _joined(own) for flow, own in segments.items()}, b"".join(others)


def _segment(frame):
    """The flow, the sequence number and the payload, where ``frame`` is TCP over IPv4."""
    if len(frame) < 54 or struct.unpack_from(">H", frame, 12)[0] != IPV4 or frame[23] != TCP:
        return None
    start = 14 + 4 * (frame[14] & 15)
    length = struct.unpack_from(">H", frame, 16)[0] or len(frame) - 14
    source, target, number = struct.unpack_from(">HHI", frame, start)
    payload = frame[start + 4 * (frame[start + 12] >> 4) : 14 + length]
    return (socket.inet_ntoa(frame[26:30]), source, socket.inet_ntoa(frame[30:34]), target), number, payload


def _joined(segments):
    """Payloads in the order of their sequence numbers, which wrap; what was sent twice is there once."""
    if not segments:
        return b""
    first, text, end = next(iter(segments)), [], None
    for offset, payload in sorted(((number - first + 2**31) % 2**32, part) for number, part in segments.items()):
        known = 0 if end is None else max(0, end - offset)
        text.append(payload[known:])
        end = max(end or 0, offset + len(payload))
    return b"".join(text)


def main():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as wire, open(sys.argv[1], "wb") as file:
        wire.setsockopt(socket.SOL_SOCKET, BUFFER_FORCE, 1 << 28)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print("listening", flush=True)
        try:
            while True:
                frame = wire.recv(1 << 18)
                file.write(struct.pack(">I", len(frame)) + frame)
        except KeyboardInterrupt:
            _, lost = struct.unpack("II", wire.getsockopt(PACKET, STATISTICS, 8))
            print(f"lost: {lost}")


if __name__ == "__main__":
    main()
