"""The extension's command line flags, which the web UI reads before it parses its own."""


def preload(parser):
    parser.add_argument(
        "--ipadapter-dir", type=str, default=None, help="additional folder with IP-Adapters and image encoders"
    )
    parser.add_argument("--ipadapter-no-download", action="store_true", help="turn off model downloads in IP-Adapter")
