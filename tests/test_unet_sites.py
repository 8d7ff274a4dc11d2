"""The map from a file's key numbers to the U-Net's modules, compared with full lists from two code bases.

The lists were made by sending tags through diffusers' single-file converter, for all three base models.
"""

import pytest
from makers import SD15_WIDTHS, site_widths

from lib_ipadapter.networks.unet_sites import SD, SDXL, Layout, layout_of_count, sites

SD_LIST = """
1=in.1.1.t0 3=in.2.1.t0 5=in.4.1.t0 7=in.5.1.t0 9=in.7.1.t0 11=in.8.1.t0
13=out.3.1.t0 15=out.4.1.t0 17=out.5.1.t0 19=out.6.1.t0 21=out.7.1.t0 23=out.8.1.t0 25=out.9.1.t0 27=out.10.1.t0
29=out.11.1.t0 31=mid.1.t0
"""

SDXL_LIST = """
1=in.4.1.t0 3=in.4.1.t1 5=in.5.1.t0 7=in.5.1.t1 9=in.7.1.t0 11=in.7.1.t1 13=in.7.1.t2 15=in.7.1.t3 17=in.7.1.t4
19=in.7.1.t5 21=in.7.1.t6 23=in.7.1.t7 25=in.7.1.t8 27=in.7.1.t9 29=in.8.1.t0 31=in.8.1.t1 33=in.8.1.t2
35=in.8.1.t3 37=in.8.1.t4 39=in.8.1.t5 41=in.8.1.t6 43=in.8.1.t7 45=in.8.1.t8 47=in.8.1.t9 49=out.0.1.t0
51=out.0.1.t1 53=out.0.1.t2 55=out.0.1.t3 57=out.0.1.t4 59=out.0.1.t5 61=out.0.1.t6 63=out.0.1.t7 65=out.0.1.t8
67=out.0.1.t9 69=out.1.1.t0 71=out.1.1.t1 73=out.1.1.t2 75=out.1.1.t3 77=out.1.1.t4 79=out.1.1.t5 81=out.1.1.t6
83=out.1.1.t7 85=out.1.1.t8 87=out.1.1.t9 89=out.2.1.t0 91=out.2.1.t1 93=out.2.1.t2 95=out.2.1.t3 97=out.2.1.t4
99=out.2.1.t5 101=out.2.1.t6 103=out.2.1.t7 105=out.2.1.t8 107=out.2.1.t9 109=out.3.1.t0 111=out.3.1.t1
113=out.4.1.t0 115=out.4.1.t1 117=out.5.1.t0 119=out.5.1.t1 121=mid.1.t0 123=mid.1.t1 125=mid.1.t2 127=mid.1.t3
129=mid.1.t4 131=mid.1.t5 133=mid.1.t6 135=mid.1.t7 137=mid.1.t8 139=mid.1.t9
"""

BLOCKS = {"in": "input_blocks", "out": "output_blocks", "mid": "middle_block"}


def whole(short: str) -> str:
    """Return the name in the U-Net for short names such as `in.4.1.t0`."""
    block, *numbers, depth = short.split(".")
    return ".".join([BLOCKS[block], *numbers, "transformer_blocks", depth.removeprefix("t"), "attn2"])


@pytest.mark.parametrize(("layout", "listed"), [(SD, SD_LIST), (SDXL, SDXL_LIST)])
def test_each_key_number_maps_to_its_module(layout: Layout, listed: str) -> None:
    pairs = [entry.split("=") for entry in listed.split()]
    assert [(site.key, site.path) for site in sites(layout)] == [(key, whole(short)) for key, short in pairs]


@pytest.mark.parametrize(("layout", "count"), [(SD, 16), (SDXL, 70)])
def test_key_numbers_are_the_odd_numbers_without_a_gap(layout: Layout, count: int) -> None:
    assert [site.key for site in sites(layout)] == [str(2 * i + 1) for i in range(count)]
    assert [site.index for site in sites(layout)] == list(range(count))


EXECUTION = {
    "SD": [("input", number) for number in (1, 2, 4, 5, 7, 8)]
    + [("middle", 0)]
    + [("output", number) for number in range(3, 12)],
    "SDXL": [("input", number) for number in (4, 5, 7, 8)]
    + [("middle", 0)]
    + [("output", number) for number in range(6)],
}


@pytest.mark.parametrize("layout", [SD, SDXL], ids=["SD", "SDXL"])
def test_layers_are_numbered_as_the_unet_runs(layout: Layout) -> None:
    assert {(site.layer, site.block, site.number) for site in sites(layout)} == {
        (layer, *place) for layer, place in enumerate(EXECUTION[layout.name])
    }


def test_the_layers_of_instantstyle_are_its_authors() -> None:
    of_layer = {site.layer: (site.block, site.number) for site in sites(SDXL)}
    assert of_layer[6] == ("output", 1)  # style
    assert of_layer[3] == ("input", 8)  # composition


def test_the_middle_block_is_last_in_files_and_in_the_middle_when_run() -> None:
    for layout, key, layer in ((SD, "31", 6), (SDXL, "139", 4)):
        last = sites(layout)[-1]
        assert (last.block, last.key, last.layer) == ("middle", key, layer)


@pytest.mark.parametrize(
    ("layout", "widths", "signature"),
    [
        (SD, SD15_WIDTHS, [320] * 2 + [640] * 2 + [1280] * 2 + [1280] * 3 + [640] * 3 + [320] * 3 + [1280]),
        (SDXL, (640, 1280), [640] * 4 + [1280] * 50 + [640] * 6 + [1280] * 10),
    ],
)
def test_the_widths_in_key_order_have_the_known_signature(
    layout: Layout, widths: tuple[int, ...], signature: list[int]
) -> None:
    """The naive order (input, middle, output) has another signature, so the order can be checked."""
    assert list(site_widths(layout, widths).values()) == signature


def test_transformers_have_the_known_depths() -> None:
    def depth(block: str, number: int) -> int:
        return sum((site.block, site.number) == (block, number) for site in sites(SDXL))

    assert [depth("input", number) for number in (4, 5, 7, 8)] == [2, 2, 10, 10]
    assert depth("middle", 0) == 10
    assert [depth("output", number) for number in range(6)] == [10, 10, 10, 2, 2, 2]


@pytest.mark.parametrize(("count", "layout"), [(16, SD), (70, SDXL), (0, None), (15, None), (17, None), (57, None)])
def test_a_layout_is_recognised_by_its_number_of_sites(count: int, layout: Layout | None) -> None:
    assert layout_of_count(count) is layout
