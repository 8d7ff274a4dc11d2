"""Generated face models with the real signatures, and pictures in which they find faces.

The detector has SCRFD's nine outputs: scores, boxes and points at strides 8, 16 and 32, two anchors a cell. It fires on
a magenta square of about two cells, a face's nose, and returns a face eight cells wide. The recogniser is a
random projection.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from lib_ipadapter.faces.insightface_models import Face, FaceModels, Pack

STRIDES = (8, 16, 32)
NOSE = (255, 0, 255)
POINTS = ((-1.2, -1.1), (1.2, -1.1), (0.0, 0.0), (-1.0, 1.5), (1.0, 1.5))
"""The detector's five points, in cells from the nose."""


def write_pack(folder: Path, pack: Pack, seed: int = 0) -> Path:
    """Write the pack's two models below `folder`, as users have them; other seeds give other embeddings."""
    place = folder / pack.name
    place.mkdir(parents=True, exist_ok=True)
    onnx.save(detector(), str(place / pack.detector))
    onnx.save(recogniser(seed), str(place / pack.recogniser))
    return place


def _constant(name: str, values) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def _model(nodes, constants, inputs, outputs) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "made", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)


def detector() -> onnx.ModelProto:
    across = np.tile(np.arange(-2, 3, dtype=np.float32), (5, 1))[None, None]
    points = [part for point in POINTS for part in point]
    constants = [
        _constant("colour", np.array([0.5, -1.0, 0.5], np.float32).reshape(1, 3, 1, 1)),  # magenta is 1, grey is -1
        _constant("less", np.array([-1.0], np.float32)),
        _constant("right", across),
        _constant("down", across.transpose(0, 1, 3, 2).copy()),
        _constant("all", np.float32(25)),
        _constant("tiny", np.float32(1e-6)),
        _constant("half", np.float32(0.5)),
        _constant("full", np.float32(0.9)),
        _constant("few", np.float32(0.08)),
        _constant("many", np.float32(0.36)),
        _constant("best", np.float32(0.95)),
        _constant("near", np.float32(0.75)),
        _constant("reach", np.float32(4)),
        *(_constant(f"point{i}", np.float32(part)) for i, part in enumerate(points)),
        *(_constant(f"rows{n}", np.array([-1, n], np.int64)) for n in (1, 4, 10)),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "colour", "less"], ["signed"]),
        helper.make_node("Relu", ["signed"], ["nose"]),
    ]
    for stride in STRIDES:
        nodes += _level(stride, len(points))
    kinds = (("score", 1), ("box", 4), ("points", 10))
    outputs = [
        helper.make_tensor_value_info(f"{kind}{stride}", TensorProto.FLOAT, ["?", width])
        for kind, width in kinds
        for stride in STRIDES
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "?", "?"])
    return _model(nodes, constants, [image], outputs)


def _level(stride: int, parts: int) -> list[onnx.NodeProto]:
    def n(name: str) -> str:
        return f"{name}@{stride}"

    def op(kind: str, inputs: list[str], output: str, **more) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **more)

    pool, near = [stride, stride], {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]}
    nodes = [
        op("AveragePool", ["nose"], n("cell"), kernel_shape=pool, strides=pool),
        op("AveragePool", [n("cell")], n("around"), count_include_pad=1, **near),
        op("Mul", [n("around"), "all"], n("sum")),
        op("Add", [n("sum"), "tiny"], n("total")),
        op("Greater", [n("cell"), "full"], n("is full")),
        op("Greater", [n("around"), "few"], n("is enough")),
        op("Less", [n("around"), "many"], n("is not too much")),
        op("And", [n("is full"), n("is enough")], n("both")),
        op("And", [n("both"), n("is not too much")], n("fires")),
        op("Sub", ["best", n("around")], n("sure")),
        op("Sub", [n("cell"), n("cell")], n("second anchor")),
    ]
    found = n("fires")
    for axis in ("right", "down"):  # the corner of a larger square is further from its centre
        nodes += [
            op("Conv", [n("cell"), axis], n(f"moment {axis}"), **near),
            op("Div", [n(f"moment {axis}"), n("total")], n(f"from centre {axis}")),
            op("Add", [n(f"from centre {axis}"), "half"], n(axis)),  # anchors are at a cell's upper left corner
            op("Sub", ["reach", n(axis)], n(f"{axis} before")),
            op("Add", ["reach", n(axis)], n(f"{axis} after")),
            op("Abs", [n(f"from centre {axis}")], n(f"off {axis}")),
            op("Less", [n(f"off {axis}"), "near"], n(f"is near {axis}")),
            op("And", [found, n(f"is near {axis}")], n(f"fires {axis}")),
        ]
        found = n(f"fires {axis}")
    nodes += [
        op("Cast", [found], n("fired"), to=TensorProto.FLOAT),
        op("Mul", [n("fired"), n("sure")], n("first anchor")),
    ]
    for i in range(parts):
        nodes.append(op("Add", [n("right" if i % 2 == 0 else "down"), f"point{i}"], n(f"point{i}")))
    boxes = [n(f"{axis} {end}") for end in ("before", "after") for axis in ("right", "down")]
    stacked = {
        "score": (1, [n("first anchor"), n("second anchor")]),
        "box": (4, boxes * 2),
        "points": (10, [n(f"point{i}") for i in range(parts)] * 2),
    }
    for kind, (width, channels) in stacked.items():
        nodes += [
            op("Concat", channels, n(f"{kind} channels"), axis=1),
            op("Transpose", [n(f"{kind} channels")], n(f"{kind} last"), perm=[0, 2, 3, 1]),
            op("Reshape", [n(f"{kind} last"), f"rows{width}"], f"{kind}{stride}"),
        ]
    return nodes


def recogniser(seed: int) -> onnx.ModelProto:
    weights = np.random.default_rng(seed).normal(size=(3 * 14 * 14, 512)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["face"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["vector"]),
    ]
    face = helper.make_tensor_value_info("face", TensorProto.FLOAT, ["?", 3, 112, 112])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["?", 512])
    return _model(nodes, [_constant("weights", weights)], [face], [vector])


def find_faces(picture: Image.Image, detector: Path, recogniser: Path) -> tuple[Face, ...]:
    """Return the faces in an RGB picture, with models that are loaded for this call."""
    return FaceModels(detector, recogniser).find(picture)


def draw_faces(*places: tuple[float, float, float], size: tuple[int, int] = (640, 640), seed: int = 0) -> Image.Image:
    """Return a picture with a face at each place: centre and width in pixels. Each has its own colours."""
    picture = Image.new("RGB", size, (90, 110, 100))
    draw = ImageDraw.Draw(picture)
    colours = np.random.default_rng(seed)
    for x, y, width in places:
        cell = width / 8
        skin, eyes, mouth = (tuple(colours.integers(30, 200, 3).tolist()) for _ in range(3))
        draw.ellipse((x - 4 * cell, y - 4 * cell, x + 4 * cell, y + 4 * cell), fill=(skin[0], 200, skin[2]))
        for across, down in POINTS[:2]:
            centre = x + across * cell, y + down * cell
            draw.ellipse(
                (*(c - cell / 2 for c in centre), *(c + cell / 2 for c in centre)), fill=(eyes[0], 150, eyes[2])
            )
        draw.rectangle((x - 1.2 * cell, y + 1.4 * cell, x + 1.2 * cell, y + 1.9 * cell), fill=(mouth[0], 140, mouth[2]))
        draw.rectangle((x - cell, y - cell, x + cell - 1, y + cell - 1), fill=NOSE)
    return picture
