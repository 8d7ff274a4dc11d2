"""facexlib's two networks with made weights: a detector that finds faces in one photograph, and a parser."""

import functools
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from lib_ipadapter.faces.portraits import DETECTOR, LABELS, PARSER, THRESHOLD

POINTS = ((-2.0, -2.0), (2.0, -2.0), (0.0, 0.0), (-1.7, 2.5), (1.7, 2.5))
"""A face's five points, in tenths of an anchor from its centre, times ten."""


def stand_in_for_torchvisions_operators(monkeypatch: Any) -> None:
    """Replace torchvision's suppression of overlapping boxes where its compiled part cannot be loaded."""
    import torchvision

    if not torchvision.extension._has_ops():
        monkeypatch.setattr(torchvision.ops, "nms", plain_nms)


def plain_nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Return the indices of boxes that overlap no surer one by more than a part, the surest first."""
    area, kept = (boxes[:, 2:] - boxes[:, :2]).prod(1), list[int]()
    for index in scores.argsort(descending=True).tolist():
        others = torch.tensor(kept, dtype=torch.long)
        corner = torch.maximum(boxes[index, :2], boxes[others, :2]), torch.minimum(boxes[index, 2:], boxes[others, 2:])
        shared = (corner[1] - corner[0]).clamp(min=0).prod(1)
        if (shared / (area[index] + area[others] - shared) <= iou_threshold).all():
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long)


def photograph() -> Image.Image:
    """Return the photograph of an astronaut that scikit-image ships, at half its size: 256 × 256 pixels."""
    from skimage import data

    return Image.fromarray(data.astronaut()).resize((256, 256))


@functools.cache
def detector() -> Any:
    """Return facexlib's detector, random but for heads that find some faces in the photograph; do not change it."""
    from facexlib.detection.retinaface import RetinaFace

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's, about how facexlib builds its backbone
        torch.manual_seed(0)
        network = RetinaFace("resnet50", device=torch.device("cpu"))
    with torch.no_grad():
        _with_usual_levels(network, _pixels() - network.mean_tensor)
        for head in network.LandmarkHead:
            head.conv1x1.weight.mul_(0.1)
            head.conv1x1.bias.copy_(torch.tensor([part for point in POINTS for part in point] * 2))
        for head in network.BboxHead:
            head.conv1x1.weight.mul_(0.1)
            head.conv1x1.bias.zero_()
        _find_the_surest_places(network)
    return network.eval()


def _find_the_surest_places(network: Any) -> None:
    """Shift the scores so that only a few places of the photograph count as faces."""
    network.phase = "train"  # only in this phase it returns its scores as they are
    scores = network(_pixels() - network.mean_tensor)[1][0]
    network.phase = "test"
    surest = (scores[:, 1] - scores[:, 0]).topk(40).values[-1].item()
    for head in network.ClassHead:
        head.conv1x1.bias.add_(torch.tensor([0.0, math.log(THRESHOLD / (1 - THRESHOLD)) - surest] * 2))


def _with_usual_levels(network: Any, pixels: torch.Tensor) -> None:
    """Let every norm see the mean and the variance that it would have learned, so that no random layer explodes."""
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    network(torch.cat([pixels, pixels.flip(-1)]))  # a norm of a single number needs two pictures
    network.eval()


def _pixels() -> torch.Tensor:
    return torch.from_numpy(np.asarray(photograph())[:, :, ::-1].copy()).permute(2, 0, 1)[None].float()


@functools.cache
def parser() -> nn.Module:
    """Return facexlib's parser, random, with more than one label in any picture; do not change it."""
    from facexlib.parsing.bisenet import BiSeNet

    torch.manual_seed(1)
    network = BiSeNet(num_class=LABELS)
    with torch.no_grad():
        network.conv_out.conv_out.weight.normal_()
        _with_usual_levels(network, (_pixels() / 255.0 - 0.45) / 0.225)
    return network.eval()


def write_portrait_models(folder: Path) -> Path:
    """Write both below `folder`, under their published names, the detector with the prefix that its names have."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({f"module.{name}": tensor for name, tensor in detector().state_dict().items()}, folder / DETECTOR)
    torch.save(parser().state_dict(), folder / PARSER)
    return folder


def helper_of(picture: Image.Image) -> Any:
    """Return facexlib's own helper after it cropped the middle face; its constructor would fetch weights."""
    from facexlib.utils.face_restoration_helper import FaceRestoreHelper

    helper = FaceRestoreHelper.__new__(FaceRestoreHelper)
    helper.template_3points, helper.pad_blur, helper.face_size = False, False, (512, 512)
    helper.face_template = np.array(
        [
            *([192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935]),
            *([201.26117, 371.41043], [313.08905, 371.15118]),
        ]
    )
    helper.face_det, helper.face_parse = detector(), parser()
    helper.clean_all()
    helper.read_image(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1]))
    helper.get_face_landmarks_5(only_center_face=True)
    helper.align_warp_face()
    return helper


def authors_portrait(helper: Any, size: int = 336) -> torch.Tensor:
    """Return what the authors give the image encoder, before it is normalised; restates `get_id_embedding`."""
    pixels = torch.from_numpy(helper.cropped_faces[0][:, :, ::-1].copy()).permute(2, 0, 1)[None].float() / 255.0
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        labels = helper.face_parse((pixels - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1))[0].argmax(1, keepdim=True)
    away = sum(labels == label for label in (0, 16, 18, 7, 8, 9, 14, 15)).bool()
    grey = 0.299 * pixels[:, 0:1] + 0.587 * pixels[:, 1:2] + 0.114 * pixels[:, 2:3]
    assert 0.02 < away.float().mean() < 0.98, "the made parser must see both"
    whole = torch.where(away, torch.ones_like(pixels), grey.repeat(1, 3, 1, 1))
    return torch.nn.functional.interpolate(whole, (size, size), mode="bicubic", align_corners=False)[0]
