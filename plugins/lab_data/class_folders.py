"""Which pictures lie in which folder of which class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.data.pixels import SUFFIXES, files, is_picture
from lab.errors import UsageError, closest, nearest

SPLITS = ("train", "valid", "test")
HIDDEN = (".", "__MACOSX")        # beginnings; the second is what macOS packs beside the folders
KNOWN = (*SPLITS, "training", "validation", "val", "testing")
Pictures = Sequence[tuple[str, int]]          # name relative to the root, number of the class
Chosen = Mapping[str, Pictures]               # of each split


def listed(root: Path) -> tuple[list[str], Chosen, list[str]]:
    """The classes, the pictures of each split in the order of their names, and the names of all other files there.

    Raises UsageError, with the folder, where classes or pictures are missing.
    """
    where = split_folders(root)
    classes = [each.name for each in folders(where["train"])]
    if len(classes) < 2:
        raise UsageError(f"{where['train']} has {len(classes) or 'no'} folder of a class; expected one, with its "
                         "pictures, for each of two classes or more")
    chosen, others = dict[str, Pictures](), list[str]()
    for split, top in where.items():
        if odd := [each for each in folders(top) if each.name not in classes]:
            raise UsageError(f"{odd[0]}: {where['train']} has no such class. {closest(odd[0].name, classes)}")
        found = {each: files(each, root) for each in folders(top)}
        if not found:
            raise UsageError(f"{top} is empty; expected folders with pictures, one for each class")
        if bare := [each for each, names in found.items() if not any(map(is_picture, names))]:
            raise UsageError(f"{bare[0]} has no picture; expected files that end in {', '.join(SUFFIXES)}")
        chosen[split] = [(name.as_posix(), classes.index(each.name)) for each, names in found.items() for name in names
                         if is_picture(name)]
        within = {name for names in found.values() for name in names}
        others += [name.as_posix() for name in files(top, root) if not (name in within and is_picture(name))]
    return classes, chosen, others


def split_folders(root: Path) -> Mapping[str, Path]:
    """The root itself is "train" unless there is a folder of that name with folders in it."""
    if not ((root / "train").is_dir() and folders(root / "train")):
        if split := [each for each in folders(root) if each.name.lower() in KNOWN and folders(each)]:
            raise UsageError(f"{split[0]} looks like a split, and there is no {root / 'train'}: name the splits train, "
                             "valid and test, in small letters")
        return {"train": root}
    if odd := [each for each in folders(root) if each.name not in SPLITS]:
        raise UsageError(f"{odd[0]}: beside train/ may stand valid/ and test/. {nearest(odd[0].name, SPLITS)}")
    return {name: root / name for name in SPLITS if (root / name).is_dir()}


def folders(where: Path) -> list[Path]:
    return sorted(each for each in where.iterdir() if each.is_dir() and not each.name.startswith(HIDDEN))
