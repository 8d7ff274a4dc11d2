"""Time to list the adapters with many files in the folder: `python benchmarks/lists.py [NUMBER]`.

Half of the files have the size of a published one, so they are hashed in the background. The files are sparse and take
no disk space. The variant of one of them is only known from its hash.
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import conftest  # noqa: F401 must run before torchvision is imported
from published import PUBLISHED, sd, sparse
from published import resampler as net
from small_host import SmallHost
from torch import nn

from lib_ipadapter.engine.session import Session
from lib_ipadapter.web.file_lists import list_adapters

OWN = sd(net(640, 1280, 768, 10), "plus", "", 0, 0)
"""An adapter whose size differs from all published ones."""


def put_files(folder: Path, number: int) -> None:
    for index in range(number - 1):
        shapes = (PUBLISHED["ip-adapter-plus_sd15"] if index % 2 else OWN).shapes
        sparse(folder / f"adapter {index}.safetensors", shapes)
    sparse(folder / "ip-adapter.safetensors", PUBLISHED["ip-adapter-faceid-portrait_sdxl_unnorm"].shapes)


def seconds(session: Session) -> float:
    started = time.perf_counter()
    list_adapters(session)
    return time.perf_counter() - started


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        put_files(Path(folder), number)
        session = Session(SmallHost(Path(folder), nn.Identity()))
        session.host.loaded_unet = lambda: None
        first = seconds(session)
        again = [seconds(session) for _ in range(20)]
        print(
            f"{number} files: first {first * 1e3:.0f} ms, again {sorted(again)[len(again) // 2] * 1e3:.1f} ms (median)"
        )


if __name__ == "__main__":
    main()
