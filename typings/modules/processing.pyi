from typing import Any

class Processed:
    index_of_first_image: int
    images: list[Any]
    infotexts: list[str]

    def __init__(
        self,
        p: Any,
        images_list: list[Any],
        seed: int = ...,
        *,
        infotexts: list[str] | None = ...,
        all_prompts: list[str] | None = ...,
        all_seeds: list[int] | None = ...,
    ) -> None: ...

def fix_seed(p: Any) -> None: ...
def process_images(p: Any) -> Processed: ...
