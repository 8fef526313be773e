"""pillow>=9.4"""

import io

from PIL import Image, ImageDraw, UnidentifiedImageError


def use():
    image = Image.new("RGB", (8, 8), "red")
    ImageDraw.Draw(image).line((0, 0, 7, 7), "blue")
    for kind in ("PNG", "JPEG"):
        out = io.BytesIO()
        image.save(out, kind)
        image = Image.open(io.BytesIO(out.getvalue())).convert("RGB").resize((4, 4))
    try:
        Image.open(io.BytesIO(b"no"))
    except UnidentifiedImageError as error:
        said = type(error).__name__
    return f"{image.size} {image.mode} {said}"
