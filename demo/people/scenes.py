"""The places that a prompt can name, drawn over the whole picture. The unit is a pixel, (0, 0) is the upper left."""

import random
from collections.abc import Callable

from .pen import SIZE, Colour, Pen, darker, lighter
from .shapes import Points, blob, box, circle, curve, oval, polygon

Scene = Callable[[Pen, random.Random], None]

WIDE = box(-2, -2, SIZE + 2, SIZE + 2)


def _band(top: float, bottom: float = SIZE + 2) -> Points:
    return box(-2, top, SIZE + 2, bottom)


def _hill(top: float, sway: float, shift: float) -> Points:
    """Return the outline of a hill whose crest is around `top`."""
    knots = [
        (x, top + sway * (1 if n % 2 else -1)) for n, x in enumerate((-30 + shift, 14 + shift, 58 + shift, 104 + shift))
    ]
    return blob((-60, SIZE + 30), (-60, top), *knots, (SIZE + 60, top), (SIZE + 60, SIZE + 30))


def _cloud(pen: Pen, x: float, y: float, size: float, colour: Colour = (255, 255, 255)) -> None:
    pen.fill(
        colour,
        *(
            oval(x + dx * size, y + dy * size, r * size, r * size * 0.8)
            for dx, dy, r in ((-1, 0.2, 0.7), (0, 0, 1), (1.1, 0.25, 0.7))
        ),
        box(x - size, y + 0.2 * size, x + 1.1 * size, y + 0.78 * size),
    )


def _plain(pen: Pen, dice: random.Random) -> None:
    """Draw a studio backdrop."""
    colour = dice.choice(
        ((250, 226, 196), (206, 228, 240), (222, 214, 240), (208, 234, 214), (250, 212, 208), (236, 232, 222))
    )
    pen.fill(colour, WIDE)
    pen.shade(lighter(colour, 0.4), circle(dice.uniform(54, 74), dice.uniform(50, 70), dice.uniform(48, 58)))


def _beach(pen: Pen, dice: random.Random) -> None:
    horizon = dice.uniform(54, 68)
    pen.fill((150, 216, 244), WIDE)
    pen.fill(
        (255, 224, 102), circle(dice.choice((20, 104)) + dice.uniform(-6, 6), dice.uniform(16, 28), dice.uniform(9, 12))
    )
    _cloud(pen, dice.uniform(20, 110), dice.uniform(10, 34), dice.uniform(6, 9))
    pen.fill((38, 140, 196), _band(horizon))
    for _ in range(5):
        x, y = dice.uniform(0, 120), dice.uniform(horizon + 4, horizon + 18)
        pen.line((126, 200, 228), 1.4, curve((x, y), (x + 5, y - 1.2), (x + 12, y)))
    shore = horizon + dice.uniform(20, 26)
    pen.fill(
        (250, 250, 244),
        blob((-40, 180), (-40, shore - 1), (0, shore - 2), (44, shore + 3), (90, shore - 3), (170, shore), (170, 180)),
    )
    pen.fill(
        (244, 214, 150),
        blob(
            (-40, 180), (-40, shore + 3), (0, shore + 2), (44, shore + 7), (90, shore + 1), (170, shore + 4), (170, 180)
        ),
    )
    (_palm if dice.random() < 0.6 else _parasol)(pen, dice.choice((8.0, 20.0, 108.0, 120.0)), shore, dice)


def _palm(pen: Pen, x: float, ground: float, dice: random.Random) -> None:
    lean = 10 if x < 64 else -10
    top = ground - dice.uniform(56, 66)
    pen.line((150, 104, 66), 5, curve((x, ground + 14), (x + lean * 0.3, ground - 24), (x + lean, top)))
    for dx, dy in ((-24, 10), (-20, -6), (0, -16), (20, -8), (25, 9), (-8, 20), (12, 20)):
        pen.fill(
            (52, 152, 84),
            blob(
                (x + lean, top - 2),
                (x + lean + dx * 0.55 - 2, top + dy * 0.55 - 6),
                (x + lean + dx, top + dy),
                (x + lean + dx * 0.5, top + dy * 0.5 + 2),
            ),
        )


def _parasol(pen: Pen, x: float, ground: float, dice: random.Random) -> None:
    colour = dice.choice(((230, 76, 72), (248, 178, 54), (70, 130, 214)))
    top = ground - 46
    pen.line((246, 240, 228), 2.4, curve((x, ground + 16), (x, top)))
    pen.fill(colour, oval(x, top + 14, 27, 20, 180, 360))
    pen.shade((250, 244, 232), oval(x, top + 14, 9, 20, 180, 360))
    pen.shade(colour, oval(x, top + 14, 3, 20, 180, 360))


def _pine(pen: Pen, x: float, ground: float, height: float, colour: Colour, snow: bool = False) -> None:
    wide = height * 0.3
    pen.fill((112, 76, 52), box(x - height * 0.04, ground - height * 0.16, x + height * 0.04, ground))
    for n in range(3):
        top, low = ground - height + n * height * 0.25, ground - height * 0.62 + n * height * 0.25
        half = wide * (0.6 + 0.2 * n)
        pen.fill(colour, polygon((x, top), (x + half, low), (x - half, low)))
        if snow:
            pen.shade(
                (250, 252, 255),
                polygon(
                    (x, top),
                    (x + half * 0.5, (top + low) / 2),
                    (x + 1, (top + low) / 2 - 2),
                    (x - half * 0.5, (top + low) / 2),
                ),
            )


def _forest(pen: Pen, dice: random.Random) -> None:
    pen.fill((206, 232, 196), WIDE)
    for x in range(-4, 140, 15):
        _pine(pen, x + dice.uniform(-4, 4), 88, dice.uniform(54, 78), (134, 186, 142))
    pen.fill((110, 168, 96), _hill(86, 3, dice.uniform(-10, 10)))
    places = [dice.uniform(-2, 20), dice.uniform(24, 44), dice.uniform(84, 104), dice.uniform(108, 130)]
    for x in places:
        ground = dice.uniform(92, 104)
        if dice.random() < 0.5:
            _pine(pen, x, ground, dice.uniform(78, 100), dice.choice(((38, 110, 74), (54, 128, 80))))
        else:
            _leafy(pen, x, ground, dice)
    for _ in range(6):
        x, y = dice.uniform(0, 128), dice.uniform(106, 126)
        pen.line((70, 132, 70), 1.3, curve((x - 2, y - 4), (x, y), (x + 2, y - 5)))


def _leafy(pen: Pen, x: float, ground: float, dice: random.Random) -> None:
    green = dice.choice(((74, 150, 74), (104, 164, 66), (58, 134, 92)))
    top = ground - dice.uniform(52, 66)
    pen.fill((124, 84, 56), box(x - 3.4, top, x + 3.4, ground))
    crown = [circle(x + dx, top + dy, r) for dx, dy, r in ((-12, 2, 13), (12, 2, 13), (0, -12, 16), (0, 8, 12))]
    pen.fill(green, *crown)
    pen.shade(lighter(green, 0.2), oval(x - 5, top - 15, 7, 5))


def _city(pen: Pen, dice: random.Random) -> None:
    pen.fill(dice.choice(((252, 218, 184), (190, 222, 242))), WIDE)
    x = -6.0
    while x < 132:
        wide, top = dice.uniform(12, 20), dice.uniform(14, 48)
        pen.fill((168, 178, 204), box(x, top, x + wide, 110))
        x += wide + dice.uniform(0, 3)
    x = -8.0 + dice.uniform(-4, 4)
    while x < 132:
        wide, top = dice.uniform(22, 32), dice.uniform(36, 66)
        _building(pen, x, top, wide, dice)
        x += wide + dice.uniform(1, 4)
    pen.fill((176, 174, 180), _band(106))
    pen.fill((92, 94, 106), _band(112))
    for x in range(round(dice.uniform(-14, 0)), 128, 26):
        pen.shade((244, 222, 120), box(x, 119, x + 14, 121.5))


def _building(pen: Pen, x: float, top: float, wide: float, dice: random.Random) -> None:
    wall = dice.choice(((206, 106, 86), (86, 106, 150), (226, 184, 132), (120, 138, 160), (158, 90, 110)))
    pen.fill(wall, box(x, top, x + wide, 112))
    pen.fill(darker(wall, 0.25), box(x - 1, top - 3, x + wide + 1, top + 1))
    columns = 3 if wide > 26 else 2
    for row in range(5):
        for column in range(columns):
            left = x + 4 + column * (wide - 4) / columns
            lit = (255, 232, 150) if dice.random() < 0.5 else (204, 226, 240)
            pen.shade(lit, box(left, top + 6 + row * 10, left + 5, top + 12.5 + row * 10))


def _snow(pen: Pen, dice: random.Random) -> None:
    pen.fill((184, 214, 238), WIDE)
    for x, top, half in (
        (dice.uniform(10, 40), dice.uniform(16, 30), 48),
        (dice.uniform(84, 118), dice.uniform(10, 26), 52),
    ):
        pen.fill((132, 158, 196), polygon((x, top), (x + half, 92), (x - half, 92)))
        reach = 0.34
        pen.shade(
            (252, 253, 255),
            polygon(
                (x, top),
                (x + half * reach, top + (92 - top) * reach),
                (x + 5, top + 15),
                (x - 2, top + 24),
                (x - 8, top + 16),
                (x - half * reach, top + (92 - top) * reach),
            ),
        )
    pen.fill((236, 244, 252), _hill(84, 4, dice.uniform(-12, 12)))
    for x in (dice.uniform(0, 24), dice.uniform(102, 126)):
        _pine(pen, x, dice.uniform(94, 102), dice.uniform(50, 68), (58, 114, 104), snow=True)
    pen.fill((250, 252, 255), _hill(102, 3, dice.uniform(-12, 12)))
    for _ in range(34):
        pen.shade((255, 255, 255), circle(dice.uniform(0, 128), dice.uniform(0, 128), dice.uniform(0.9, 1.8)))


def _room(pen: Pen, dice: random.Random) -> None:
    wall = dice.choice(((246, 214, 164), (226, 190, 190), (178, 206, 190), (200, 196, 226)))
    pen.fill(wall, WIDE)
    for x in range(-2, 130, 12):
        pen.shade(darker(wall, 0.05), box(x, -2, x + 5, 104))
    left = dice.random() < 0.5
    _window(pen, 8 if left else 82, dice)
    _pictures(pen, 98 if left else 30, dice)
    pen.fill((250, 246, 238), _band(99, 105))
    pen.fill((176, 122, 78), _band(105))
    for x in range(0, 140, 22):
        pen.line((146, 98, 62), 1.0, curve((x + 6, 105), (x - 4, 130)))
    (_lamp if dice.random() < 0.5 else _plant)(pen, 112 if left else 14, dice)


def _window(pen: Pen, x: float, dice: random.Random) -> None:
    y = dice.uniform(14, 22)
    pen.fill((252, 250, 244), box(x, y, x + 38, y + 44))
    pen.fill((160, 212, 242), box(x + 4, y + 4, x + 34, y + 40))
    pen.shade((120, 180, 110), oval(x + 19, y + 40, 15, 11, 180, 360))
    pen.shade((252, 250, 244), box(x + 17.5, y + 4, x + 20.5, y + 40), box(x + 4, y + 20, x + 34, y + 23))


def _pictures(pen: Pen, x: float, dice: random.Random) -> None:
    y = dice.uniform(20, 34)
    pen.fill((118, 80, 54), box(x - 13, y - 11, x + 13, y + 13))
    pen.fill((250, 246, 236), box(x - 10, y - 8, x + 10, y + 10))
    pen.shade(dice.choice(((230, 110, 90), (90, 140, 200), (240, 190, 80))), circle(x, y + 1, 6))


def _lamp(pen: Pen, x: float, dice: random.Random) -> None:
    pen.line((90, 70, 70), 2.2, curve((x, 62), (x, 112)))
    pen.fill((90, 70, 70), oval(x, 113, 9, 3))
    pen.fill((255, 226, 130), polygon((x - 7, 44), (x + 7, 44), (x + 13, 66), (x - 13, 66)))


def _plant(pen: Pen, x: float, dice: random.Random) -> None:
    for dx, dy in ((-15, -18), (-9, -32), (0, -38), (9, -32), (15, -18)):
        pen.fill(
            (66, 144, 90),
            blob((x, 96), (x + dx * 0.8 - 3, 96 + dy * 0.6), (x + dx, 96 + dy), (x + dx * 0.6 + 4, 96 + dy * 0.5)),
        )
    pen.fill((212, 112, 76), polygon((x - 10, 94), (x + 10, 94), (x + 7, 114), (x - 7, 114)))


def _night(pen: Pen, dice: random.Random) -> None:
    pen.fill((28, 32, 78), WIDE)
    pen.shade((42, 46, 104), _band(46))
    pen.shade((62, 60, 128), _band(74))
    for _ in range(30):
        pen.shade((255, 246, 206), circle(dice.uniform(0, 128), dice.uniform(0, 76), dice.uniform(0.7, 1.5)))
    x, y = dice.choice((22, 104)) + dice.uniform(-6, 6), dice.uniform(18, 28)
    pen.fill((255, 240, 186), circle(x, y, 12))
    pen.shade((28, 32, 78), circle(x + 6, y - 3, 10.5))
    pen.fill((40, 56, 84), _hill(90, 6, dice.uniform(-14, 14)))
    pen.fill((26, 40, 62), _hill(104, 4, dice.uniform(-14, 14)))
    house = dice.uniform(4, 24) if x > 64 else dice.uniform(92, 110)
    pen.fill((52, 42, 66), box(house, 80, house + 20, 98), polygon((house - 3, 81), (house + 10, 70), (house + 23, 81)))
    pen.shade((255, 214, 104), box(house + 4, 85, house + 8.5, 91), box(house + 12, 85, house + 16.5, 91))


SCENES: dict[str, Scene] = {
    "": _plain,
    "beach": _beach,
    "forest": _forest,
    "city": _city,
    "snow": _snow,
    "room": _room,
    "night": _night,
}


def draw_scene(pen: Pen, scene: str, seed: int) -> None:
    """Draw a scene; the seed determines where things are in it."""
    SCENES[scene](pen, random.Random(seed))
