"""TensorBoard's projector: points of many dimensions in a run folder, to be turned around. N points, Z dimensions."""

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

FOLDER, CONFIG = "projector", "projector_config.pbtxt"          # the second is what TensorBoard looks for


def show(file: Path, name: str) -> None:
    """Unpack what `lab.media.Codes` was kept as, media/<name>/<count>.npz of a run, for TensorBoard; of each name the
    last.
    """
    run = file.parents[name.count("/") + 2]
    folder = run / FOLDER / name.replace("/", ".")
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(file) as found:
        np.savetxt(folder / "points.tsv", found["points"], "%.6g", "\t")
        if len(found["labels"]):
            clean = (" ".join(label.split()) for label in found["labels"].tolist())
            (folder / "labels.tsv").write_text("".join(f"{label}\n" for label in clean))
        if len(found["pictures"]):
            sheet = sprites(found["pictures"])
            (folder / "pictures.png").write_bytes(sheet)
            (folder / "size").write_text("{1} {0}".format(*found["pictures"].shape[1:3]))
    (run / CONFIG).write_text(listed(run))


def sprites(pictures: NDArray[np.uint8]) -> bytes:
    """[N, H, W, 3] as one PNG with as many in a row as in a column."""
    n, height, width, _ = pictures.shape
    side = math.ceil(math.sqrt(n))
    sheet = np.zeros((side * side, height, width, 3), np.uint8)
    sheet[:n] = pictures
    rows = sheet.reshape(side, side, height, width, 3).swapaxes(1, 2)
    file = io.BytesIO()
    Image.fromarray(rows.reshape(side * height, side * width, 3)).save(file, "PNG")
    return file.getvalue()


def listed(run: Path) -> str:
    """TensorBoard's list of what there is in a run."""
    config = ProjectorConfig()
    for folder in sorted((run / FOLDER).iterdir()):
        made = config.embeddings.add()
        made.tensor_name, made.tensor_path = folder.name, f"{FOLDER}/{folder.name}/points.tsv"
        if (folder / "labels.tsv").exists():
            made.metadata_path = f"{FOLDER}/{folder.name}/labels.tsv"
        if (folder / "size").exists():
            made.sprite.image_path = f"{FOLDER}/{folder.name}/pictures.png"
            made.sprite.single_image_dim.extend(map(int, (folder / "size").read_text().split()))
    return str(config)
