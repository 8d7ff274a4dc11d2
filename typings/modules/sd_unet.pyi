class SdUnetOption:
    label: str

class SdUnet:
    option: SdUnetOption

current_unet: SdUnet | None
