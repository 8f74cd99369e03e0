#!/usr/bin/env python3
"""Draws every pattern of examples/patterns into docs/gallery and writes docs/gallery.md.

    scripts/gallery.py [--lacuna build/lacuna] [--check]

The tensors of a pattern are made by scripts/gallery_tensors.py, the same at every run. --check draws into a temporary
folder instead, and fails where what is committed differs.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

sys.dont_write_bytecode = True
from gallery_tensors import groups  # noqa: E402

GROUPS = groups()
ROOT = pathlib.Path(__file__).resolve().parent.parent
PATTERNS = ROOT / "examples" / "patterns"
HEAD = """# Gallery

Every pattern of [examples/patterns](../examples/patterns), drawn by `lacuna show` on tensors that models could have: of one head,
which tiles a kernel visits, and which pairs attend. Blue tiles lie inside the mask and run without mask code, amber ones test their
pairs, grey ones are never visited. [catalogue.md](catalogue.md) says where each comes from. `scripts/gallery.py` makes this page.
"""


def draw(lacuna: str, name: str, picture: dict, out: pathlib.Path):
    """Writes out/NAME.svg."""
    words = [lacuna, "show", str(PATTERNS / f"{name}.lac"), "--shape", picture["shape"], "--svg", str(out / f"{name}.svg")]
    words += ["--cells", "128", "--head", str(picture.get("head", 0))]
    for param, value in picture.get("params", {}).items():
        words += ["--param", f"{param}={value}"]
    with tempfile.TemporaryDirectory() as folder:
        for tensor, array in picture.get("tensors", {}).items():
            file = f"{folder}/{tensor}.npy"
            np.save(file, array)
            words += ["--tensor", f"{tensor}={file}"]
        ran = subprocess.run(words, capture_output=True, text=True)
    if ran.returncode != 0:
        raise SystemExit(f"gallery: {' '.join(words)}\n{ran.stderr}")


def masks_of(name: str):
    """The masks as written, in one line."""
    lines = (PATTERNS / f"{name}.lac").read_text().splitlines()
    found = [re.sub(r"\s*#.*", "", line).strip() for line in lines]
    found = [re.sub(r"^mask\s+", "", line) for line in found if line.startswith("mask ")]
    return " &nbsp;∧&nbsp; ".join(f"<code>{escape(mask)}</code>" for mask in found) or "everything"


def escape(text: str):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")


def cell(name: str):
    return (f'<td width="33%" valign="top"><a href="gallery/{name}.svg"><img src="gallery/{name}.svg" alt="{name}"></a><br>'
            f'<a href="../examples/patterns/{name}.lac"><b>{name}</b></a><br>{masks_of(name)}</td>')


def page():
    text = HEAD
    for title, pictures in GROUPS.items():
        names = list(pictures)
        text += f"\n## {title}\n\n<table>\n"
        for i in range(0, len(names), 3):
            text += "<tr>\n" + "".join(cell(name) + "\n" for name in names[i:i + 3]) + "</tr>\n"
        text += "</table>\n"
    return text


def make(lacuna: str, docs: pathlib.Path):
    (docs / "gallery").mkdir(parents=True, exist_ok=True)
    every = {name: picture for pictures in GROUPS.values() for name, picture in pictures.items()}
    files = {file.stem for file in PATTERNS.glob("*.lac")}
    if files != set(every):
        raise SystemExit(f"gallery: gallery_tensors.py and examples/patterns differ in {sorted(files ^ set(every))}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda one: draw(lacuna, one[0], one[1], docs / "gallery"), every.items()))
    (docs / "gallery.md").write_text(page())


def differences(made: pathlib.Path, committed: pathlib.Path):
    files = {file.relative_to(made) for file in made.rglob("*") if file.is_file()}
    files |= {file.relative_to(committed) for file in (committed / "gallery").glob("*")}
    for file in sorted(files):
        if not (made / file).exists() or not (committed / file).exists():
            yield f"{file} is in one of them only"
        elif (made / file).read_bytes() != (committed / file).read_bytes():
            yield f"{file} differs"


def main():
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--lacuna", default=str(ROOT / "build" / "lacuna"), help="the command (default: build/lacuna)")
    flags.add_argument("--check", action="store_true", help="fail where the committed gallery differs")
    given = flags.parse_args()
    if not given.check:
        return make(given.lacuna, ROOT / "docs")
    with tempfile.TemporaryDirectory() as folder:
        make(given.lacuna, pathlib.Path(folder))
        found = list(differences(pathlib.Path(folder), ROOT / "docs"))
    if found:
        sys.exit("\n".join(found) + "\ndocs/gallery is not what scripts/gallery.py makes now: run it, and look at the pictures")


if __name__ == "__main__":
    main()
