"""ControlNet's units on a page, as far as the panel uses them: with gradio 3 the extension's, with gradio 4 Forge's.

Source: Mikubill/sd-webui-controlnet 1.1.455, scripts/controlnet.py and scripts/controlnet_ui/controlnet_ui_group.py;
Forge's extensions-builtin/sd_forge_controlnet and modules_forge/forge_canvas.
"""

import gradio as gr

OLD = gr.__version__.startswith("3.")
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
                draw_unit(
                    f"{tab}_controlnet_ControlNet-{number}"
                )  # in Forge it is in an accordion, in AUTOMATIC1111's web UI in a tab
    if not OLD:
        page.load(fn=None, inputs=[], outputs=[], js=LISTEN)


MODELS = ["None", "control_canny [a1b2c3d4]", "control_instant_id_sdxl [c5c25a50]"]
"""What the menu of models lists; the last one only after it was read anew."""


def draw_unit(name: str) -> None:
    with gr.Tabs():
        with gr.Tab("Single Image"), gr.Group(elem_classes=["cnet-input-image-group"]):
            if OLD:
                gr.Image(source="upload", type="numpy", tool="sketch", elem_classes=["cnet-image"])
            else:
                gr.HTML(CANVAS, elem_classes=["cnet-image"])
        with gr.Tab("Batch"):
            gr.Textbox(label="Input Directory")
    gr.Checkbox(label="Enable", elem_classes=["cnet-unit-enabled"])
    modules = ["none", "instant_id_face_keypoints"]
    part = {"interactive": True}
    gr.Dropdown(
        modules, value=modules[1], label="Preprocessor", elem_id=f"{name}_controlnet_preprocessor_dropdown", **part
    )
    model = gr.Dropdown(MODELS[:2], value="None", label="Model", elem_id=f"{name}_controlnet_model_dropdown", **part)
    refresh = gr.Button("Refresh", elem_id=f"{name}_controlnet_refresh_models")
    refresh.click(lambda: gr.Dropdown.update(choices=MODELS) if OLD else gr.update(choices=MODELS), None, model)
    gr.Slider(0.0, 2.0, 1.0, step=0.05, label="Weight", elem_id=f"{name}_controlnet_control_weight_slider", **part)
