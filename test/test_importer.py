"""The platform's own importer takes what inference.py writes: as grey, with its shape and values."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from quietfield.files.images import open_stack
from quietfield.files.tiff import write_tiff

IMPORT = """
import sys
from pathlib import Path
import panimg
result = panimg.convert(input_directory=Path(sys.argv[1]), output_directory=Path(sys.argv[2]))
assert not [f for f in result.new_image_files if not Path(f.file).is_file()]
for image in result.new_images:
    file = next(f.file for f in result.new_image_files if f.image_id == image.pk)
    print(image.width, image.height, image.color_space.value, image.voxel_width_mm, file)
"""


@pytest.mark.parametrize("shape", [(64, 70), (3, 64, 70), (4, 64, 70), (2, 3, 64, 70), (2, 4, 54, 54)], ids=str)
def test_taken_as_grey(tmp_path: Path, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).normal(100, 50, shape).astype(np.float32)
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="minisblack")
    for folder in ("written", "imported"):
        (tmp_path / folder).mkdir()
    with open_stack(tmp_path / "x.tif") as stack:
        write_tiff(tmp_path / "written" / "answer.tif", stack, iter(image.reshape(-1, *shape[-2:])))
    command = [sys.executable, "-c", IMPORT, str(tmp_path / "written"), str(tmp_path / "imported")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    width, height, colours, voxel, file = result.stdout.split()
    assert (int(width), int(height), colours) == (70 if shape[-1] == 70 else 54, shape[-2], "GRAY")
    assert float(voxel) > 0
    assert np.array_equal(tifffile.imread(file), image)


def test_the_importer_can_say_no(tmp_path: Path) -> None:
    """Without a resolution unit the same pixels are refused: the test above can fail."""
    for folder in ("written", "imported"):
        (tmp_path / folder).mkdir()
    tifffile.imwrite(tmp_path / "written" / "answer.tif", np.ones((64, 70), np.float32), resolutionunit="NONE")
    command = [sys.executable, "-c", IMPORT, str(tmp_path / "written"), str(tmp_path / "imported")]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""
