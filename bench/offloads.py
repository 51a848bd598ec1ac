"""Set a link of this network namespace: `offloads.py LINK` does what `ethtool -K LINK gro on tso off` does.

veth receives by NAPI only so: with TSO on at the sending end, packets are received in the sender's context.
"""

import ctypes
import fcntl
import socket
import struct
import sys

SIOCETHTOOL, ETHTOOL_STSO, ETHTOOL_SGRO = 0x8946, 0x1F, 0x2C


def main() -> None:
    """Two ioctls."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command, value in ((ETHTOOL_SGRO, 1), (ETHTOOL_STSO, 0)):
            setting = ctypes.create_string_buffer(struct.pack("II", command, value))
            request = struct.pack("16sP16x", sys.argv[1].encode(), ctypes.addressof(setting))
            fcntl.ioctl(any_socket, SIOCETHTOOL, request)


if __name__ == "__main__":
    main()
