"""Image and label files: every form is read as it was meant, or refused in one line that names the file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from bench.data.base import IGNORE, DataError
from bench.data.pixels import Coding, label_values, read_image, read_label, void_last

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (6, 8), dtype=np.uint8)
COLOUR = DRAW.integers(0, 256, (6, 8, 3), dtype=np.uint8)
CODING = void_last(3)
ANY = Coding({value: value for value in range(256)}, "all bytes")


def refused(path: Path, message: str, *, label: bool = False) -> None:
    """Make sure that the file is refused in one line, which begins with its path."""
    with pytest.raises(DataError, match=message) as caught:
        read_label(path, ANY) if label else read_image(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def write_png(path: Path, bits: int, colour_type: int, rows: list[bytes], width: int) -> Path:
    """Write a PNG file of a form that Pillow reads and does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour_type, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", content), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "webp"])
def test_colours_come_as_red_green_and_blue_whatever_the_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"with spaces and \u00fcmlaut.{suffix}"
    Image.fromarray(COLOUR).save(path, **({"lossless": True} if suffix == "webp" else {}))
    image = read_image(path)
    assert (image.dtype, image.shape) == (torch.uint8, (3, 6, 8))
    assert np.array_equal(image.permute(1, 2, 0).numpy(), COLOUR)


@pytest.mark.parametrize(
    "kind", ["grey", "palette", "opaque alpha", "grey with opaque alpha", "an unused clear colour"]
)
def test_grey_palettes_and_opaque_alpha_are_read_as_the_colours_that_a_viewer_shows(kind: str, tmp_path: Path) -> None:
    path, stacked = tmp_path / "a.png", np.stack([GREY] * 3, -1)
    opaque = np.full_like(GREY, 255)
    expected = stacked
    if kind == "grey":
        Image.fromarray(GREY).save(path)
    elif kind == "palette":
        image = Image.fromarray(GREY % 4).convert("P")
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
        image.save(path)
        expected = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]], np.uint8)[GREY % 4]
    elif kind == "opaque alpha":
        Image.fromarray(np.dstack([COLOUR, opaque])).save(path)
        expected = COLOUR
    elif kind == "grey with opaque alpha":
        Image.fromarray(np.dstack([GREY, opaque])).save(path)
    else:
        unused = next(colour for colour in range(256) if not (colour == COLOUR).all(-1).any())
        Image.fromarray(COLOUR).save(path, transparency=(unused,) * 3)
        expected = COLOUR
    assert np.array_equal(read_image(path).permute(1, 2, 0).numpy(), expected)


def test_one_bit_and_four_bit_grey_are_spread_from_black_to_white(tmp_path: Path) -> None:
    one = write_png(tmp_path / "1.png", 1, 0, [bytes([0b01000000])], 2)
    four = write_png(tmp_path / "4.png", 4, 0, [bytes([0x0F])], 2)
    assert read_image(one)[0].tolist() == read_image(four)[0].tolist() == [[0, 255]]


@pytest.mark.parametrize("kind", ["grey png", "grey tif", "colour", "alpha", "grey and alpha"])
def test_sixteen_bits_are_refused_in_images(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    if kind.startswith("grey "):
        path = path.with_suffix(f".{kind[-3:]}") if kind != "grey and alpha" else path
    if kind in ("grey png", "grey tif"):
        Image.fromarray(GREY.astype(np.uint16) * 257).save(path)
    else:
        channels, colour_type = {"colour": (3, 2), "alpha": (4, 6), "grey and alpha": (2, 4)}[kind]
        write_png(path, 16, colour_type, [b"\xff\xff" * channels * 2], 2)
    refused(path, "16 bits a channel; allowed are grey and RGB of 8 bits a channel; convert it")


@pytest.mark.parametrize(
    ("mode", "suffix"), [("I", "tif"), ("F", "tif"), ("CMYK", "jpg"), ("CMYK", "tif"), ("LAB", "tif")]
)
def test_values_without_a_known_black_and_white_are_refused(mode: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (8, 6)).save(path)
    refused(path, f"of mode {mode}; allowed are grey and RGB of 8 bits")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_pixels_are_refused(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = Image.new(mode, (8, 6))
    image.save(path, **{"P": {"transparency": 0}, "RGB": {"transparency": (0, 0, 0)}}.get(mode, {}))
    refused(path, "has transparent pixels, whose colour is not known; flatten it onto a background")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_the_orientation_is_applied(orientation: int, suffix: str, tmp_path: Path) -> None:
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    flat = np.kron(COLOUR[:2, :3], np.ones((8, 8, 1), np.uint8))  # blocks that JPEG keeps
    Image.fromarray(flat).save(path, exif=exif, **options)
    tagged = Image.fromarray(flat)
    tagged.getexif()[0x0112] = orientation
    upright = np.array(ImageOps.exif_transpose(tagged)).astype(int)
    assert upright.shape[0] == (16 if orientation < 5 else 24)
    read = read_image(path).permute(1, 2, 0).numpy().astype(int)
    assert read.shape == upright.shape
    assert abs(read - upright).max() <= 3


def test_an_orientation_that_does_not_exist_changes_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png").permute(1, 2, 0).numpy(), COLOUR)


def test_a_label_with_an_orientation_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    refused(tmp_path / "a.png", "is a label with the EXIF orientation 3; .* remove the tag", label=True)


@pytest.mark.parametrize("label", [False, True])
def test_a_file_of_several_pictures_is_refused_but_for_the_photograph_of_a_phone(label: bool, tmp_path: Path) -> None:
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    refused(tmp_path / "a.png", "holds 2 pictures; keep the one", label=label)
    if not label:
        first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second], quality=100)
        assert abs(read_image(tmp_path / "a.jpg")[0].numpy().astype(int) - GREY).max() <= 3


def test_more_pixels_than_pillow_reads_are_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)  # 48 pixels are over the limit, and below twice the limit
    assert read_image(tmp_path / "a.png").shape == (3, 6, 8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    refused(tmp_path / "a.png", r"has more pixels than Pillow reads \(.*\); cut it into tiles, or raise PIL.Image.MAX")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; get it again"),
        (b"<html>404</html>", "its format is not known; get the file again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "only points to its content.*: git lfs pull"),
        (b"/annex/objects/SHA256E-s1--0.jpg\n", "only points to its content.*: git annex get"),
    ],
)
@pytest.mark.parametrize("label", [False, True])
def test_a_file_that_is_no_image_is_refused(content: bytes, message: str, label: bool, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", rf"cannot be read as an image \(.*{message}", label=label)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
def test_a_truncated_file_is_refused_or_read_in_full(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOUR).save(path)
    whole, content = read_image(path), path.read_bytes()
    for end in range(1, len(content), 1 + len(content) // 40):
        path.write_bytes(content[:end])
        message = ""
        try:
            image = read_image(path)
        except DataError as error:
            message = str(error)
        assert message.startswith(f"{path} cannot be read as an image (") if message else torch.equal(image, whole)


def test_a_file_that_may_not_be_read_or_is_gone_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(tmp_path / "a.png", r"cannot be read as an image \(No such file or directory\)")

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "a.png")

    monkeypatch.setattr(Image, "open", forbidden)
    refused(tmp_path / "a.png", r"cannot be read as an image \(Permission denied\)", label=True)


@pytest.mark.parametrize(
    ("bits", "byte", "expected"), [(1, 0b01000000, [0, 1]), (2, 0b0111_0000, [1, 3]), (4, 0x12, [1, 2])]
)
def test_labels_of_few_bits_hold_class_indices_and_not_shades_of_grey(
    bits: int, byte: int, expected: list[int], tmp_path: Path
) -> None:
    path = write_png(tmp_path / "a.png", bits, 0, [bytes([byte])], 2)
    assert read_label(path, ANY).tolist() == [expected]


@pytest.mark.parametrize("greatest", [1, 2, 3, 10, 15, 18, 100, 127, 128, 200, 254, 255])
@pytest.mark.parametrize("plain", [False, True])
def test_labels_of_a_grey_map_hold_class_indices_whatever_value_is_white(
    greatest: int, plain: bool, tmp_path: Path
) -> None:
    path, values = tmp_path / "a.pgm", list(range(greatest + 1))
    content = " ".join(map(str, values)).encode() if plain else bytes(values)
    path.write_bytes(f"P{2 if plain else 5}\n{len(values)} 1\n{greatest}\n".encode() + content)
    assert read_label(path, ANY).tolist() == [values]
    assert label_values(path) == (set(values), {})
    assert read_image(path)[0, 0, [0, -1]].tolist() == [0, 255]


@pytest.mark.parametrize("mode", ["1", "L"])
def test_labels_that_store_white_as_nothing_are_refused(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (8, 6)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    refused(tmp_path / "a.tif", "is a label that stores white as 0, .* store it as PNG", label=True)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "tif", "png"])
def test_labels_with_a_palette_are_read_by_position_whatever_the_format(suffix: str, tmp_path: Path) -> None:
    image = Image.fromarray(GREY % 4).convert("P")
    image.putpalette([0, 0, 0, 90, 9, 9, 50, 50, 50, 70, 0, 0])
    image.save(tmp_path / f"a.{suffix}")
    assert np.array_equal(read_label(tmp_path / f"a.{suffix}", ANY).numpy(), GREY % 4)


def test_a_damaged_file_that_asks_for_more_memory_than_there_is_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    refused(tmp_path / "a.png", "asks for more memory than there is; get the file again, or run with more")


@pytest.mark.parametrize("mode", ["RGB", "LA", "RGBA", "I;16", "I", "F", "CMYK"])
def test_labels_of_more_than_a_byte_a_pixel_are_refused(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.tif" if mode in ("I", "F", "CMYK") else "a.png")
    Image.new(mode, (8, 6)).save(path)
    refused(path, f"is an image of mode {mode}.*; allowed are L and P, one byte a pixel", label=True)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_labels_whose_compression_changes_values_are_refused_whatever_their_suffix(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GREY % 3).convert("L").save(path, form)
    refused(path, f"is a {form} file inside, whose compression may change values; labels must be PNG", label=True)


def test_values_outside_the_classes_are_refused_and_the_largest_class_is_void(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GREY % 4).save(path)
    assert set(read_label(path, CODING).unique().tolist()) == {0, 1, 2, IGNORE}
    Image.fromarray(GREY % 6).save(path)
    with pytest.raises(DataError, match=r"a.png holds the value 4, 5; allowed are 0 to 2 \(classes\) and 3 \(void\)"):
        read_label(path, CODING)
