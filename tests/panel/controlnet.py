"""ControlNet's units on a page, as far as the panel uses them: with gradio 3 the extension's, with gradio 4 Forge's.

Source: Mikubill/sd-webui-controlnet 1.1.455, scripts/controlnet.py and scripts/controlnet_ui/controlnet_ui_group.py;
Forge's extensions-builtin/sd_forge_controlnet and modules_forge/forge_canvas.
"""

import gradio as gr

KNOWN = gr.__version__.startswith(("3.", "4."))
"""Whether a web UI has this gradio; later versions do not draw collapsed blocks."""

CANVAS = '<input type="file" class="forge-file-upload"><img class="forge-image">'
LISTEN = """() => {
    for (const input of document.querySelectorAll(".forge-file-upload")) {
        input.addEventListener("change", () => {
            const reader = new FileReader();
            reader.onload = () => (input.nextElementSibling.src = reader.result);
            reader.readAsDataURL(input.files[0]);
        });
    }
}"""
"""What Forge's canvas does with a dropped file."""


def draw_controlnet(page: gr.Blocks, tab: str) -> None:
    """Draw two units, in an accordion, tabs and another accordion, each unit with tabs of its own."""
    if not KNOWN:
        return
    with (
        gr.Group(elem_id=f"{tab}_controlnet"),
        gr.Accordion("ControlNet", open=False, elem_id="controlnet"),
        gr.Tabs(elem_id=f"{tab}_controlnet_tabs"),
    ):
        for number in range(2):
            with gr.Tab(f"ControlNet Unit {number}", elem_classes=["cnet-unit-tab"]), gr.Accordion("Unit", open=False):
                draw_unit()  # in Forge it is in an accordion, in AUTOMATIC1111's web UI in a tab
    if not gr.__version__.startswith("3."):
        page.load(fn=None, inputs=[], outputs=[], js=LISTEN)


def draw_unit() -> None:
    with gr.Tabs():
        with gr.Tab("Single Image"), gr.Group(elem_classes=["cnet-input-image-group"]):
            if gr.__version__.startswith("3."):
                gr.Image(source="upload", type="numpy", tool="sketch", elem_classes=["cnet-image"])
            else:
                gr.HTML(CANVAS, elem_classes=["cnet-image"])
        with gr.Tab("Batch"):
            gr.Textbox(label="Input Directory")
    gr.Checkbox(label="Enable", elem_classes=["cnet-unit-enabled"])
