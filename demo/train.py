"""Train the small model from scratch: `python -m demo.train`, or only the stages that are named, in their order.

Each stage reads what the stages before it wrote to `build/demo`, in half precision like the finished files. On the same
machine, its result is always the same. The last stage writes the finished files.
"""

import argparse
import copy
import itertools
import json
import math
import random
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import torch.distributed as workers
import torch.multiprocessing as processes
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from lib_ipadapter.pictures.crops import CLIP_MEAN
from lib_ipadapter.pictures.preprocess import CLIP_STD

from .adapters import ADAPTERS, Adapter, Trainee
from .checkpoint import TIMESTEPS, checkpoint_config, signal_left
from .files import ADAPTERS as ADAPTER_FILES
from .files import CHECKPOINT, CONFIG, MODEL, TOKENIZER, TOWER
from .model import PARTS
from .networks import (
    AUTOENCODER,
    EMBED,
    FACTOR,
    UNET,
    TextTower,
    VisionTower,
    make_unet,
    plain_autoencoder,
    widened,
)
from .tokenizer import TOKENS, Tokenizer
from .words import write_files
from .world import CAPTIONS, COLOURS, GROUNDS, SHAPES, SIZE, Scene, caption, describe, draw, scenes

BUILD = Path(__file__).resolve().parent.parent / "build" / "demo"
WORDS = BUILD / "tokenizer"

PICTURES = 16_384
"""Number of pictures from whose latents and captions the U-Net and the adapters learn."""
SEED = 20240501

WORKERS = 2
"""Processes that train the autoencoder and the U-Net, with one thread each: more threads do not help small layers."""


# Common to all stages


def learning_rate(step: int, steps: int, peak: float, warm: int = 100, level: float = 0.0) -> float:
    """Return a rate that rises at first, stays for the share `level` of all steps, and falls as half a cosine to 0."""
    rise = min(1.0, (step + 1) / warm)
    fallen = max(0.0, step / steps - level) / (1 - level)
    return peak * rise * 0.5 * (1 + math.cos(math.pi * fallen))


class Learner:
    """AdamW with the schedule above, and a running mean of the weights, which is the result of a stage."""

    def __init__(
        self, network: nn.Module, steps: int, peak: float, name: str, keep: float = 0.995, level: float = 0.0
    ) -> None:
        self.network, self._name, self._level = network, name, level
        self.mean = copy.deepcopy(network).requires_grad_(False)
        self._steps, self._peak, self._keep = steps, peak, keep
        self._step = 0
        self._losses: list[float] = []
        self._began = time.monotonic()
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(self._parameters, lr=peak, betas=(0.9, 0.99), weight_decay=0.01, fused=True)

    def learn(self, loss: Tensor) -> None:
        self._optimiser.zero_grad()
        loss.backward()
        if workers.is_initialized():
            share_gradients(self._parameters)
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self._step, self._steps, self._peak, level=self._level)
        self._optimiser.step()
        keep = min(self._keep, (1 + self._step) / (10 + self._step))
        for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(now.detach(), 1 - keep)
        self._report(loss.item())

    def _report(self, loss: float) -> None:
        self._step += 1
        self._losses.append(loss)
        if self._step % 50 == 0 or self._step == self._steps:
            seconds = time.monotonic() - self._began
            say(f"step {self._step} of {self._steps}, loss {fmean(self._losses):.4f}, {seconds:.0f} s")
            self._losses.clear()
        if self._step % 250 == 0:
            self.finish()

    def finish(self) -> None:
        """Write the mean of the weights, at the end and at intervals during training."""
        if is_first():
            save(self._name, self.mean)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def begin_work(rank: int, port: int) -> None:
    """Join the other worker; both start from the same random numbers, so with the same weights."""
    torch.set_num_threads(1)
    workers.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=WORKERS)
    torch.manual_seed(SEED)


def is_first() -> bool:
    """Return whether this process is the one that reports and saves."""
    return not workers.is_initialized() or workers.get_rank() == 0


def share_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every worker the mean of all workers' gradients."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    workers.all_reduce(flat)
    flat /= workers.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def say(text: str) -> None:
    if is_first():
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def save(name: str, network: nn.Module) -> None:
    """Write a network in half precision, as in the finished files."""
    BUILD.mkdir(parents=True, exist_ok=True)
    half = {key: tensor.half().contiguous() for key, tensor in network.state_dict().items()}
    save_file(half, BUILD / f"{name}.safetensors")


def load(name: str, network: nn.Module) -> nn.Module:
    """Load what a stage wrote into a network, in float32 and without gradients."""
    network.load_state_dict({key: tensor.float() for key, tensor in load_file(BUILD / f"{name}.safetensors").items()})
    return network.eval().requires_grad_(False)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return a picture's pixels, 0..1: (3, size, size)."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).permute(2, 0, 1)


def for_clip(pixels: Tensor) -> Tensor:
    """Normalise pixels 0..1 as CLIP does: (pictures, 3, size, size)."""
    return (pixels - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)


def batches(seed: int, size: int) -> Iterator[list[Scene]]:
    endless = scenes(seed)
    while True:
        yield list(itertools.islice(endless, size))


def shown(batch: Iterable[Scene]) -> Tensor:
    return torch.stack([to_tensor(draw(scene)) for scene in batch])


# The autoencoder


def train_autoencoder(steps: int = 1000, batch: int = 8) -> None:
    """Train on the pixels' absolute error, with a light pull of the latents towards the normal distribution."""
    processes.spawn(_work_at_autoencoder, (steps, batch // WORKERS, _free_port()), WORKERS)


def _work_at_autoencoder(rank: int, steps: int, batch: int, port: int) -> None:
    begin_work(rank, port)
    network = plain_autoencoder()
    torch.manual_seed(SEED + rank)
    learner = Learner(network, steps, peak=2e-3, name="plain")
    for pictures in itertools.islice(batches(SEED + 1 + 1000 * rank, batch), steps):
        pixels = shown(pictures) * 2 - 1
        mean, log_variance = network.encode(pixels)
        latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        learner.learn((network.decode(latents) - pixels).abs().mean() + 1e-4 * divergence)
    learner.finish()
    if is_first():
        save("autoencoder", widened(learner.mean))


# The two CLIP towers


class Clip(nn.Module):
    """Both towers under one linear head, which reads shape, colour and background from the embedding of either."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.text, self.vision = TextTower(vocabulary), VisionTower(SIZE)
        self.head = nn.Linear(EMBED, sum(map(len, GROUPS)))

    def said(self, tokens: Tensor, end: int) -> Tensor:
        return self.head(self.text(tokens, end))

    def shown(self, pixels: Tensor) -> Tensor:
        return self.head(self.vision(for_clip(pixels))[0])


GROUPS = (tuple(SHAPES), tuple(COLOURS), tuple(GROUNDS))


def shares(*names: Iterable[str]) -> Tensor:
    """Return the target for these shapes, colours and backgrounds; if none of a kind is named, all get equal shares."""
    targets = [
        torch.tensor([float(name in some) for name in group])
        for group, some in zip(GROUPS, map(set, names), strict=True)
    ]
    return torch.cat(
        [target / target.sum() if target.any() else torch.ones(len(target)) / len(target) for target in targets]
    )


def shares_of_scene(scene: Scene) -> Tensor:
    _, *beyond = scene.half or ("", scene.colour, scene.ground)
    return shares([scene.shape], [scene.colour, beyond[0]], [scene.ground, beyond[1]])


def attribute_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy, summed over shape, colour and background; both tensors are (rows, attributes)."""
    sizes = list(map(len, GROUPS))
    groups = zip(logits.split(sizes, 1), targets.split(sizes, 1), strict=True)
    return sum((functional.cross_entropy(some, target) for some, target in groups), torch.zeros(()))


def train_clip(steps: int = 1000, batch: int = 32) -> None:
    """Train both towers on the attributes through the same head, which aligns their embeddings.

    This replaces CLIP's contrast of pictures and captions, which needs far larger batches than a CPU can handle.
    """
    torch.manual_seed(SEED)
    write_files(WORDS)
    tokenize = Tokenizer(WORDS)
    dice = random.Random(SEED)
    learner = Learner(network := Clip(len(tokenize.vocabulary)), steps, peak=1e-3, name="clip")
    said_shares = {text: shares(*[text.split()] * 3) for text in CAPTIONS}
    for pictures in itertools.islice(batches(SEED + 2, batch), steps):
        said = dice.sample(CAPTIONS, batch)
        loss = attribute_loss(network.shown(shown(pictures)), torch.stack([shares_of_scene(each) for each in pictures]))
        loss = loss + attribute_loss(
            network.said(tokenize(said), tokenize.end), torch.stack([said_shares[t] for t in said])
        )
        learner.learn(loss)
    learner.finish()


def read_clip() -> tuple[Clip, Tokenizer]:
    tokenize = Tokenizer(WORDS)
    network = Clip(len(tokenize.vocabulary))
    load("clip", network)
    return network, tokenize


# What the U-Net and the adapters learn from


def write_latents(batch: int = 64) -> None:
    """Write the scaled latents of the pictures, the captions' contexts and the scale factor."""
    autoencoder = load("plain", plain_autoencoder())
    clip, tokenize = read_clip()
    pictures = itertools.islice(batches(SEED + 3, batch), PICTURES // batch)
    with torch.no_grad():
        latents = torch.cat([autoencoder.encode(shown(some) * 2 - 1)[0] for some in pictures])
        contexts = clip.text.text_model(tokenize(CAPTIONS))
    factor = 1 / float(latents.std())
    say(f"latents {tuple(latents.shape)}, scale factor {factor:.4f}")
    save_file({"latents": latents * factor, "contexts": contexts}, BUILD / "latents.safetensors")
    (BUILD / "scale.json").write_text(json.dumps({"scale_factor": factor}))


def velocity(latents: Tensor, noise: Tensor, left: Tensor) -> Tensor:
    """Return what a v-prediction network should predict (Salimans and Ho 2022)."""
    return left.sqrt() * noise - (1 - left).sqrt() * latents


class Lessons:
    """Noisy latents, time steps, captions and the right answers, always the same for a seed."""

    def __init__(self, seed: int, batch: int) -> None:
        kept = load_file(BUILD / "latents.safetensors")
        self.latents, self.contexts = kept["latents"], kept["contexts"]
        self.scenes = next(batches(SEED + 3, PICTURES))
        self.batch = batch
        self.left = signal_left()
        self.dice = random.Random(seed)
        self.noise = torch.Generator().manual_seed(seed)

    def draw(self, colour: float, ground: float) -> tuple[list[int], list[str], Tensor, Tensor, Tensor]:
        """Return picture numbers, captions, noisy latents, time steps and velocities.

        Time steps are drawn in proportion to their number, because strong noise decides what a picture shows.
        """
        which = [self.dice.randrange(PICTURES) for _ in range(self.batch)]
        said = [describe(self.scenes[n], self.dice, colour, ground) for n in which]
        latents = self.latents[which]
        noise = torch.randn(latents.shape, generator=self.noise)
        times = (torch.rand(self.batch, generator=self.noise).sqrt() * TIMESTEPS).long()
        left = self.left[times].view(-1, 1, 1, 1)
        noisy = left.sqrt() * latents + (1 - left).sqrt() * noise
        return which, said, noisy, times, velocity(latents, noise, left)

    def context(self, said: Iterable[str]) -> Tensor:
        return self.contexts[[CAPTIONS.index(text) for text in said]]


# The U-Net


FIRST_TOKENS = 16
LEVEL = 0.75
"""Share of the U-Net's steps with the full learning rate and only the first tokens."""


def train_unet(steps: int = 4000, batch: int = 64) -> None:
    """Train v-prediction; one caption in ten is left out.

    Captions are short, and the tokens after them say nothing new, so most steps use only the first tokens.
    """
    processes.spawn(_work_at_unet, (steps, batch // WORKERS, _free_port()), WORKERS)


def _work_at_unet(rank: int, steps: int, batch: int, port: int) -> None:
    begin_work(rank, port)
    network = make_unet().to(memory_format=torch.channels_last)  # an eighth faster
    learner = Learner(network, steps, peak=1e-3, name="unet", keep=0.998, level=LEVEL)
    lessons = Lessons(SEED + 10 + rank, batch)
    for step in range(steps):
        _, said, noisy, times, answer = lessons.draw(0.7, 0.6)
        tokens = FIRST_TOKENS if step < LEVEL * steps else TOKENS
        said = [text if lessons.dice.random() > 0.1 else "" for text in said]
        learner.learn(functional.mse_loss(network(noisy, times, lessons.context(said)[:, :tokens]), answer))
    learner.finish()


# The adapters


def begin_with_words(name: str, projector: nn.Module, clip: Clip, tokenize: Tokenizer, pictures: int = 2048) -> None:
    """Train image tokens to start as the text tower's states of the words for what is seen, as keys and values do."""
    plan, dice = ADAPTERS[name], random.Random(SEED)
    whole = list(itertools.islice((scene for scene in scenes(SEED + 4) if not scene.half), pictures))
    texts = [caption(scene.shape, scene.colour, scene.ground) for scene in whole]
    with torch.no_grad():
        seen = torch.stack([to_tensor(plan.see(draw(scene), dice)) for scene in whole])
        features = torch.cat([plan.features(clip.vision, for_clip(some)) for some in seen.split(64)])
        words = clip.text.text_model(tokenize(texts))[:, plan.words]
        features = torch.cat([features, plan.nothing(clip.vision, SIZE).expand(pictures // 16, *features.shape[1:])])
        silence = clip.text.text_model(tokenize([""]))[:, [1]]  # the end token alone
        words = torch.cat([words, silence.expand(pictures // 16, len(plan.words), -1)])
    learner = Learner(projector, plan.word_steps, peak=2e-3, name=f"{name}-projector")
    for _ in range(plan.word_steps):
        some = dice.sample(range(len(features)), plan.batch)
        learner.learn(functional.mse_loss(projector(features[some]), words[some]))
    projector.load_state_dict(learner.mean.state_dict())


def train_adapter(name: str) -> None:
    """Train as IP-Adapter's authors do: the base is frozen; text, image and both are left out in a twentieth each."""
    torch.manual_seed(SEED)
    plan = ADAPTERS[name]
    unet = load("unet", make_unet())
    clip, tokenize = read_clip()
    adapter = Adapter(plan.projector(), unet)
    begin_with_words(name, adapter.image_proj, clip, tokenize)
    learner = Learner(adapter, plan.steps, peak=plan.peak, name=name)
    trainee = Trainee(unet, adapter)
    lessons = Lessons(SEED + 20, plan.batch)
    nothing = plan.nothing(clip.vision, SIZE)
    for _ in range(plan.steps):
        which, said, noisy, times, answer = lessons.draw(0.25, 0.25)
        with torch.no_grad():
            pictures = [plan.see(draw(lessons.scenes[n]), lessons.dice) for n in which]
            features = plan.features(clip.vision, for_clip(torch.stack([to_tensor(p) for p in pictures])))
        fate = [lessons.dice.random() for _ in which]
        said = [text if dropped > 0.1 else "" for text, dropped in zip(said, fate, strict=True)]
        blind = torch.tensor([0.05 < dropped < 0.15 for dropped in fate])
        features[blind] = nothing
        learner.learn(functional.mse_loss(trainee(noisy, times, lessons.context(said), features), answer))
    learner.finish()


# The files


def assemble() -> None:
    """Write the finished files: the parts together, in their layouts and under their names."""
    MODEL.mkdir(parents=True, exist_ok=True)
    clip = load_file(BUILD / "clip.safetensors")
    tensors = {
        **_renamed(load_file(BUILD / "unet.safetensors"), "", PARTS["unet"]),
        **_renamed(load_file(BUILD / "autoencoder.safetensors"), "", PARTS["autoencoder"]),
        **_renamed(clip, "text.text_model.", PARTS["text"]),
    }
    save_file(tensors, MODEL / CHECKPOINT, {"format": "pt"})
    save_file(_renamed(clip, "vision.", ""), MODEL / TOWER, {"format": "pt"})
    for name, file in ADAPTER_FILES.items():
        save_file(load_file(BUILD / f"{name}.safetensors"), MODEL / file, {"format": "pt"})
    write_files(MODEL / TOKENIZER)
    factor = json.loads((BUILD / "scale.json").read_text())["scale_factor"]
    config = checkpoint_config(factor, SIZE // FACTOR, UNET, AUTOENCODER, TOKENIZER)
    (MODEL / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _renamed(tensors: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    """Return the tensors whose keys start with `old`, with `new` in its place."""
    return {new + key.removeprefix(old): tensor for key, tensor in tensors.items() if key.startswith(old)}


STAGES: dict[str, Callable[[], None]] = {
    "autoencoder": train_autoencoder,
    "clip": train_clip,
    "latents": write_latents,
    "unet": train_unet,
    "base": lambda: train_adapter("base"),
    "plus": lambda: train_adapter("plus"),
    "files": assemble,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], help="all if none is named")
    chosen = parser.parse_args().stages
    for name, stage in STAGES.items():
        if name in chosen or not chosen:
            say(f"{name} starts")
            began = time.monotonic()
            stage()
            say(f"{name} took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
