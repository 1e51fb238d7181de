"""A guest that tries doors and writes into its log, as JSON, which of them opened."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

from tools import DATASET, LABELS, LIBC, OUTPUT, PORT, call, first, read_descriptors, system_call


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


def read_the_labels():
    return LABELS.read_bytes()


def read_the_labels_by_a_hard_link():
    os.link(LABELS, Path.home() / "hard")


def read_the_labels_through_its_own_root():
    return Path(f"/proc/self/root{LABELS}").read_bytes()


def read_the_labels_through_any_working_folder():
    return first(lambda pid: (Path(f"/proc/{pid}/cwd{LABELS}")).read_bytes())


def read_the_labels_through_any_descriptor():
    def find(pid):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if link.readlink() == LABELS:
                return link.read_bytes()
        raise FileNotFoundError

    return first(find)


def find_an_inherited_descriptor():
    ours = (OUTPUT, DATASET, Path("/dev"), Path("/proc"))
    leaked = [
        t for t in read_descriptors() if t[0] == "/" and not any(map(Path(t).is_relative_to, ours))
    ]
    return leaked[0]


def tell_the_labels_time():
    return LABELS.stat().st_mtime


def find_a_secret_in_its_environment():
    if b"CANARY" not in Path("/proc/self/environ").read_bytes():
        raise FileNotFoundError


def find_a_secret_in_any_environment():
    def find(pid):
        if b"CANARY" in Path(f"/proc/{pid}/environ").read_bytes():
            return pid
        raise FileNotFoundError

    return first(find)


def attach_to_its_parent():
    system_call(101, 16, os.getppid(), 0, 0)


def read_its_parents_memory():
    system_call(310, os.getppid(), 0, 0, 0, 0, 0)


def take_its_parents_descriptor():
    system_call(438, system_call(434, os.getppid(), 0), 0, 0)


def see_who_else_works_here():
    def find(pid):
        if b"CANARY" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
        raise FileNotFoundError

    return first(find)


def mount_a_file_system():
    call(LIBC.mount, b"none", bytes(Path.home()), b"tmpfs", 0, None)


def enter_the_first_namespace():
    descriptor = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    call(LIBC.setns, descriptor, 0)


def set_the_name_of_the_machine():
    name = os.uname().nodename.encode()
    call(LIBC.sethostname, name, len(name))


def connect_to_a_server_here():
    socket.create_connection(("127.0.0.1", PORT), 5).close()


def connect_by_version_6():
    socket.create_connection(("::1", PORT), 5).close()


def resolve_a_name():
    socket.getaddrinfo("localhost", PORT)
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def listen_to_the_wire():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


def talk_to_the_hypervisor():
    socket.socket(40, socket.SOCK_STREAM).close()


def use_the_kernels_cipher():
    socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close()


def connect_to_an_abstract_socket():
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(f"\0autodl-{PORT}")


def connect_to_a_socket_by_its_path():
    with socket.socket(socket.AF_UNIX) as line:
        os.chdir(OUTPUT.parent)
        line.connect("door")


def submit_to_a_ring():
    system_call(425, 1, bytes(120))


def load_a_program_into_the_kernel():
    system_call(321, 5, bytes(120), 120)


def count_the_kernels_events():
    system_call(298, bytes(120), 0, -1, -1, 0)


def keep_a_key():
    system_call(248, b"user", b"autodl", b"x", 1, -2)


def leave_shared_memory_behind():
    system_call(31, system_call(29, 0, 4096, 0o1600), 0, 0)


def leave_a_queue_behind():
    system_call(71, system_call(68, 0, 0o1600), 0, 0)


def load_a_module():
    with Path("/dev/null").open() as nothing:
        system_call(313, nothing.fileno(), b"", 0)


def write_beside_its_output():
    path = OUTPUT.parent / "beside"
    path.write_text("")
    path.unlink()


def move_its_output_away():
    OUTPUT.rename(OUTPUT.with_name("away"))
    OUTPUT.with_name("away").rename(OUTPUT)


def write_through_a_link():
    link = Path.home() / "through"
    link.symlink_to(OUTPUT.parent / "through")
    link.write_text("")


def write_a_setting_of_the_kernel():
    path = Path("/proc/sys/kernel/printk_ratelimit")
    path.write_text(path.read_text())


def make_a_control_group():
    path = next(p for p in Path("/sys/fs/cgroup").glob("**/") if (p / "tasks").exists()) / "autodl"
    path.mkdir()
    path.rmdir()


def outlive_others_when_memory_is_short():
    Path("/proc/self/oom_score_adj").write_text("-1000")


def raise_its_limit_of_a_files_size():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limits[1] == resource.RLIM_INFINITY:
        return
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def become_root():
    os.setresuid(1, 1, 1)
    os.setresuid(0, 0, 0)


def read_the_kernels_log():
    os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))


def read_the_passwords():
    return Path("/etc/shadow").read_bytes()


def write_into_python():
    path = Path(os.__file__).with_name("autodl_was_here.py")
    path.write_text("")
    path.unlink()


def write_into_the_platform():
    path = Path(sys.modules["autodl"].__path__[0]) / "was_here"
    path.write_text("")
    path.unlink()


def signal_everybody():
    os.kill(1, 0)


def signal_the_supervisors_group():
    group = os.getpgid(os.getppid())
    os.kill(-group if group else 1, 0)  # of a group outside its namespace, it is told 0


class Model:
    def __init__(self, metadata):
        doors = [f for f in globals().values() if getattr(f, "__module__", "") == __name__]
        opened = {}
        for door in doors:
            if door is not Model:
                try:
                    door()
                    opened[door.__name__] = True
                except (
                    OSError,
                    ValueError,
                    LookupError,
                    StopIteration,
                    subprocess.CalledProcessError,
                ):
                    opened[door.__name__] = False
        print("DOORS " + json.dumps(opened))  # noqa: T201
