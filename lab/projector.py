"""TensorBoard's projector: points of many dimensions in a run folder, to be turned around. N points, Z dimensions."""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

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
    points, labels, pictures = (array(file, each) for each in ("points", "labels", "pictures"))
    np.savetxt(folder / "points.tsv", points, "%.6g", "\t")
    if len(labels):
        clean = (" ".join(label.split()) for label in labels.tolist())
        (folder / "labels.tsv").write_text("".join(f"{label}\n" for label in clean))
    if len(pictures):
        (folder / "pictures.png").write_bytes(sprites(pictures))
        (folder / "size").write_text("{1} {0}".format(*pictures.shape[1:3]))
    (run / CONFIG).write_text(listed(run))


def array(file: Path, name: str) -> NDArray[Any]:
    """One of those in a .npz file; nothing in it is executed."""
    with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
        found: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return found


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
