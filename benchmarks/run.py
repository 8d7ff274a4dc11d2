"""Report what the adapter costs: `python tasks.py bench [--quick]`.

Times of the sites are ratios within one run, so that they are comparable between machines. It first prints how much
memory it needs: below 6 GB, with or without a GPU.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import conftest  # noqa: F401 must run before torchvision is imported
import diffusers.pipelines.controlnet as pipelines
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

pipelines.MultiControlNetModel = MultiControlNetModel  # where the authors' package from 2023 imports it from

import preparation
import sites
import torch

GOALS = {"4": 0.12, "16": 0.14, "4 + 16 + 16": 0.28, "4 + 16 + 16, controlled": 0.32}
"""Goals for the time added to the plain sites, as a ratio. "controlled" has a mask for each unit, and ours also weights
per layer and a curve over the steps, which diffusers does not have."""

QUICK = (("SD1.5 at 512²", 5),)
WHOLE = (("SD1.5 at 512²", 15), ("SDXL at 1024²", 3))
"""U-Nets and repetitions."""


def needs(names: list[str], with_preparation: bool, dtype: torch.dtype) -> str:
    """Return how much memory the benchmarks need, in a sentence."""
    needed = {name: sites.needed_bytes(name, dtype) for name in names}
    if with_preparation:
        needed["preparation, in main memory"] = preparation.NEEDED_BYTES
    parts = ", ".join(f"{value / 1e9:.1f} GB for {name}" for name, value in needed.items())
    files = f", and {preparation.FILE_BYTES / 1e9:.1f} GB of temporary files" if with_preparation else ""
    return f"Needs about {parts}, one after the other{files}."


def report_sites(name: str, repetitions: int, device: torch.device, dtype: torch.dtype) -> None:
    added = sites.measure(name, repetitions, device, dtype)
    print(f"\n{name}, batch {sites.ROWS}, {dtype}, {device}: time added to the plain cross-attention sites")
    print(f"{'image tokens':24} {'ours':>8} {'goal':>8} {'diffusers':>10} {'authors':>8}")
    for label, goal in GOALS.items():
        theirs = [added.get(f"{who}, {label}") for who in ("diffusers", "authors")]
        shown = [f"{value:.3f}" if value is not None else "-" for value in theirs]
        print(f"{label:24} {added[f'ours, {label}']:8.3f} {goal:8.2f} {shown[0]:>10} {shown[1]:>8}")


def report_preparation() -> None:
    print("\nSDXL Plus, one reference of 1600 x 1200, on the CPU")
    for what, value in preparation.measure().items():
        print(f"{what:52} {value / 1e6:8.1f} MB" if "bytes" in what else f"{what:52} {value * 1000:8.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="SD1.5's sites only, few repetitions")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    torch.set_num_threads(2)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    measured = QUICK if options.quick else WHOLE
    print(needs([name for name, _ in measured], not options.quick, dtype))
    for name, repetitions in measured:
        report_sites(name, repetitions, device, dtype)
    if not options.quick:
        report_preparation()


if __name__ == "__main__":
    main()
