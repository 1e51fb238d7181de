"""A guest that tries doors and writes into its log, as JSON, which of them opened."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path


def read_beside_the_solution():
    return (Path.home() / "../../labels/toy.solution").read_text()


def read_by_a_link():
    link = Path.home() / "link"
    link.symlink_to("/etc/passwd")
    return link.read_text()


def read_by_a_child():
    subprocess.run(["cat", "/etc/passwd"], check=True, capture_output=True)


def list_the_home_of_another():
    return list(Path("/root").iterdir())


def list_the_temporary_folder():
    return list(Path("/tmp").iterdir())


def write_to_the_dataset():
    dataset = Path(sys.argv[sys.argv.index("--dataset") + 1])
    next(dataset.rglob("metadata.textproto")).write_text("")


def write_to_the_solution():
    path = Path(__file__).resolve().parent / "left_behind"
    path.write_text("")
    path.unlink()


def write_to_the_temporary_folder():
    path = Path("/tmp") / str(os.getpid())
    path.write_text("")
    path.unlink()


def signal_the_supervisor():
    os.kill(os.getppid(), 0)


def read_the_supervisors_environment():
    return Path(f"/proc/{os.getppid()}/environ").read_bytes()


def read_the_supervisors_memory():
    return Path(f"/proc/{os.getppid()}/maps").read_text()


def walk_through_the_supervisors_root():
    return list(Path(f"/proc/{os.getppid()}/root/").iterdir())


def open_an_internet_socket():
    socket.socket(socket.AF_INET).close()


def open_an_internet_datagram_socket():
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()


def open_a_netlink_socket():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()


def open_a_socket_in_a_child():
    code = "import socket; socket.socket()"
    subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True)


def make_a_namespace():
    import ctypes

    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")


def make_a_device():
    os.mknod(Path.home() / "disk", 0o60600, os.makedev(8, 0))


def set_the_clock():
    time.clock_settime(time.CLOCK_REALTIME, time.time())


def raise_its_priority():
    os.nice(-5)


def change_its_user():
    os.setgroups([])


def regain_privileges():
    subprocess.run(["chroot", Path.home(), "true"], check=True, capture_output=True)


class Model:
    def __init__(self, metadata):
        doors = [f for f in globals().values() if getattr(f, "__module__", "") == __name__]
        opened = {}
        for door in doors:
            if door is not Model:
                try:
                    door()
                    opened[door.__name__] = True
                except (OSError, subprocess.CalledProcessError):
                    opened[door.__name__] = False
        print("DOORS " + json.dumps(opened))  # noqa: T201
