"""What each group of the panel is for, as its ? says it, in short what the guides in docs/ say."""

from collections.abc import Mapping

from .field import COMPOSITION, FACE, LAYERS, NEGATIVE, REFERENCES, REGION, STEPS

KEPT = "Presets and copies"
"""The panel's last group, which has no fields."""

GROUP_HELP: Mapping[str, str] = {
    STEPS: "The first steps decide the layout, the last ones the details. A later start leaves the layout to the "
    "prompt, an earlier end the details. With hires fix, the second pass can have its own weight, or be "
    "left out.",
    LAYERS: "Some layers carry style, others layout. Style transfer and composition use only theirs; the precise "
    "types also move away from the other, which needs a CFG scale above 1.",
    FACE: "With several faces in a picture, choose which one is meant. Face structure adds what a face looks "
    "like to who it is. If skin looks waxy, lower the LoRA weight first.",
    REFERENCES: "The encoder sees a small square. Crop says how a picture becomes one; tiles and enhance show it "
    "more. Several pictures of one thing show what they have in common.",
    REGION: "The unit acts only where its region is, and the prompt everywhere. Give each person a region of "
    "their own. A region does not move anything.",
    NEGATIVE: "Pictures that the result moves away from, as from a negative prompt. They need a CFG scale above 1.",
    COMPOSITION: "With a weight type for composition, the layout comes from these pictures and everything else from "
    "the references.",
    KEPT: "A preset keeps settings under a name in this web UI. A recipe is a file for others. Undo takes either back.",
}
