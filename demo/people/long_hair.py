"""Hair that hangs down or is tied. The unit is half a face's width."""

from .pen import Pen
from .shapes import blob, box, circle, curve, knots, oval
from .tones import Tones


def bob_back(pen: Pen, hair: Tones) -> None:
    pen.fill(
        hair.shadow,
        blob(
            *knots(
                "0 -1.3  0.9 -1.0  1.24 -0.3  1.32 0.5  1.34 1.02  0.7 1.12  -0.7 1.12  -1.34 1.02  "
                "-1.32 0.5  -1.24 -0.3  -0.9 -1.0"
            )
        ),
    )


def bob_hair(pen: Pen, hair: Tones) -> None:
    side = blob(*knots("0.84 -0.5  1.16 -0.5  1.32 0.3  1.38 0.98  1.06 1.12  0.82 0.96  0.9 0.3"))
    fringe = blob(
        *knots(
            "-1.14 -0.2  -1.2 -0.62  -0.84 -1.22  0 -1.44  0.84 -1.22  1.2 -0.62  1.14 -0.2  0.86 -0.3  "
            "0.45 -0.25  0 -0.26  -0.45 -0.25  -0.86 -0.3"
        )
    )
    pen.fill(hair.base, fringe, side, side * (-1, 1))
    for x in (-0.5, 0.0, 0.5):
        pen.line(hair.shadow, 0.045, curve((x * 0.9, -0.62), (x, -0.3)))
    pen.line(hair.shine, 0.1, curve((-0.84, -0.72), (-0.4, -0.92), (0.3, -0.94), (0.8, -0.76)))


PARTED = blob(
    *knots(
        "0 -1.42  0.8 -1.2  1.16 -0.6  1.16 0.1  0.98 0.0  0.9 -0.34  0.5 -0.66  0.0 -0.98  "
        "-0.5 -0.66  -0.9 -0.34  -0.98 0.0  -1.16 0.1  -1.16 -0.6  -0.8 -1.2"
    )
)
"""Hair parted in the middle, down to the ears."""


def long_back(pen: Pen, hair: Tones) -> None:
    pen.fill(
        hair.shadow,
        blob(
            *knots(
                "0 -1.3  0.9 -1.0  1.2 -0.3  1.24 1.0  1.3 2.5  0.6 2.6  -0.6 2.6  -1.3 2.5  -1.24 1.0  "
                "-1.2 -0.3  -0.9 -1.0"
            )
        ),
    )


def long_hair(pen: Pen, hair: Tones) -> None:
    lock = blob(*knots("0.9 -0.5  1.14 -0.55  1.22 0.4  1.28 1.5  1.22 2.6  0.96 2.72  0.74 2.5  0.9 1.4  0.94 0.4"))
    pen.fill(hair.base, PARTED, lock, lock * (-1, 1))
    for side in (-1, 1):
        pen.line(hair.shadow, 0.05, curve((side * 1.06, 0.3), (side * 1.08, 1.3), (side * 0.98, 2.3)))
        pen.line(hair.shine, 0.09, curve((side * 0.3, -1.16), (side * 0.74, -0.9), (side * 0.98, -0.5)))
    pen.line(hair.shadow, 0.05, curve((0, -1.38), (0.0, -1.0)))


def wavy_back(pen: Pen, hair: Tones) -> None:
    pen.fill(
        hair.shadow,
        blob(
            *knots(
                "0 -1.3  0.95 -1.0  1.36 -0.1  1.24 0.5  1.56 1.1  1.4 1.7  0.6 1.9  -0.6 1.9  -1.4 1.7  "
                "-1.56 1.1  -1.24 0.5  -1.36 -0.1  -0.95 -1.0"
            )
        ),
    )


def wavy_hair(pen: Pen, hair: Tones) -> None:
    lock = blob(
        *knots(
            "0.86 -0.7  1.2 -0.5  1.4 0.0  1.26 0.5  1.56 1.0  1.46 1.6  1.14 1.86  0.9 1.6  1.12 1.14  "
            "0.9 0.6  1.02 0.1"
        )
    )
    top = blob(
        *knots(
            "-0.4 -1.38  0.4 -1.42  1.0 -1.04  1.22 -0.4  1.04 0.0  0.86 -0.3  0.36 -0.52  -0.3 -0.94  "
            "-0.56 -0.6  -0.92 -0.26  -1.0 0.1  -1.22 -0.4  -0.96 -1.08"
        )
    )
    pen.fill(hair.base, top, lock, lock * (-1, 1))
    for side in (-1, 1):
        pen.line(
            hair.shadow, 0.06, curve((side * 1.14, 0.1), (side * 1.06, 0.5), (side * 1.34, 1.0), (side * 1.2, 1.5))
        )
    pen.line(hair.shine, 0.1, curve((0.0, -1.14), (0.5, -1.02), (0.9, -0.66)))
    pen.line(hair.shadow, 0.05, curve((-0.36, -1.36), (-0.26, -1.02)))


def bun_back(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, circle(0, -1.74, 0.5))
    pen.line(hair.shadow, 0.06, curve((-0.3, -1.9), (0.0, -1.62), (0.34, -1.78)))
    pen.line(hair.shine, 0.07, oval(0, -1.74, 0.34, 0.34, 200, 280))


def bun_hair(pen: Pen, hair: Tones) -> None:
    swept = blob(
        *knots(
            "-1.04 0.04  -1.12 -0.5  -0.76 -1.12  0 -1.34  0.76 -1.12  1.12 -0.5  1.04 0.04  0.96 -0.24  "
            "0.78 -0.62  0.4 -0.82  0 -0.88  -0.4 -0.82  -0.78 -0.62  -0.96 -0.24"
        )
    )
    pen.fill(hair.base, swept)
    pen.fill((236, 92, 112), box(-0.26, -1.42, 0.26, -1.28))
    for x in (-0.66, 0.66):
        pen.line(hair.shadow, 0.045, curve((x * 1.2, -0.56), (x * 0.5, -1.2)))
    pen.line(hair.shine, 0.08, curve((-0.7, -0.92), (-0.4, -1.12)))


def braided_hair(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, PARTED)
    pen.line(hair.shadow, 0.05, curve((0, -1.38), (0.0, -1.0)))
    for side in (-1, 1):
        pen.line(hair.shine, 0.09, curve((side * 0.3, -1.16), (side * 0.74, -0.9), (side * 0.98, -0.5)))
        links = [oval(side * (1.14 + 0.06 * n), 0.42 + 0.36 * n, 0.27, 0.24) for n in range(6)]
        pen.fill(hair.base, *links, blob((side * 1.44, 2.5), (side * 1.62, 2.86), (side * 1.26, 2.86)))
        for n in range(6):
            pen.line(hair.shadow, 0.06, oval(side * (1.14 + 0.06 * n), 0.42 + 0.36 * n, 0.22, 0.19, 20, 160))
        pen.fill((236, 92, 112), oval(side * 1.46, 2.52, 0.16, 0.1))
