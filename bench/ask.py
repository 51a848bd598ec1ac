"""Ask a server for a Binding until it answers, 10 s at most: `ask.py ADDRESS PORT`, in the server's network."""

import socket
import struct
import sys
import time

BINDING = struct.pack("!HHI", 1, 0, 0x2112A442) + b"are you up? "


def answered(asking: socket.socket) -> bool:
    """One request, and 100 ms at most for its answer; a port that is not bound yet refuses at once."""
    try:
        asking.send(BINDING)
        return bool(asking.recv(1500))
    except TimeoutError:
        return False
    except ConnectionRefusedError:
        time.sleep(0.05)
        return False


def main() -> None:
    """Exit status 0 once it has answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((sys.argv[1], int(sys.argv[2])))
        asking.settimeout(0.1)
        give_up = time.monotonic() + 10
        while not answered(asking):
            if time.monotonic() > give_up:
                sys.exit("no answer")


if __name__ == "__main__":
    main()
