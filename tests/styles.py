"""The style sheets that style.css imports, each with a digest of its content in its address.

Web UIs load only style.css, with its date in the address; without a digest a browser may keep imported sheets from
before an update. `python tests/styles.py` writes the digests.
"""

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHEET = ROOT / "style.css"
IMPORT = re.compile(r'@import url\("(styles/\w+\.css)\?(\w*)"\);')


def digest(name: str) -> str:
    """Return the digest in a style sheet's address: eight digits, independent of the line endings."""
    return hashlib.sha256((ROOT / name).read_text(encoding="utf-8").encode()).hexdigest()[:8]


def with_digests(text: str) -> str:
    return IMPORT.sub(lambda found: f'@import url("{found[1]}?{digest(found[1])}");', text)


if __name__ == "__main__":
    SHEET.write_text(with_digests(SHEET.read_text(encoding="utf-8")), encoding="utf-8")
