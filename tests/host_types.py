"""For the type checker: every host is a `Host`. tests/test_port.py compares them at run time."""

from demo.host import Demo
from lib_ipadapter.hosts.a1111 import A1111
from lib_ipadapter.hosts.forge import Forge
from lib_ipadapter.port import Host


def hosts(a1111: A1111, forge: Forge, demo: Demo) -> tuple[Host, ...]:
    return a1111, forge, demo
