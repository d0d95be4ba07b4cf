"""`lab tensorboard`: show the runs of a folder in TensorBoard, or make the event file of one run anew."""

import sys
import threading
from pathlib import Path

from ..errors import UsageError
from .parser import Parser


def main(argv: list[str]) -> int:
    """130 after Ctrl-C, 0 after a rebuild. Raises UsageError where there is no such folder or the port is taken."""
    parser = Parser("tensorboard", __doc__.partition(": ")[2])
    parser.add_argument("folder", nargs="?", default="runs", type=Path, help="of runs (default: runs)")
    parser.add_argument("--port", type=int, help="default: the first free one from 6006 on")
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine alone; there is no password")
    parser.add_argument("--rebuild", metavar="RUN", type=Path, help="make RUN's event file anew from its metrics.jsonl")
    args = parser.parse_args(argv)
    if args.rebuild is not None:
        return rebuild(args.rebuild)
    if not args.folder.is_dir():
        raise UsageError(f"there is no folder {args.folder}: train first, or name another: lab tensorboard DIR")
    try:
        print(f"{args.folder}: {launch(args.folder, args.host, args.port)} (Ctrl-C to quit)", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 130


def rebuild(run: Path) -> int:
    # Imported here because it brings torch, which showing runs need not wait for.
    from .. import sinks

    print(f"wrote {sinks.rebuild(run)}")
    return 0


def launch(folder: Path, host: str, port: int | None) -> str:
    """Serve from a thread; returns the address."""
    from tensorboard.program import TensorBoard, TensorBoardServerException

    server, chosen = TensorBoard(), [] if port is None else ["--port", str(port)]
    server.configure(["lab", "--logdir", str(folder), "--host", host, *chosen])
    try:
        return str(server.launch())
    except (TensorBoardServerException, OSError) as error:
        why = getattr(error, "msg", error)
        raise UsageError(f"TensorBoard cannot serve on {host}: {why}. Choose another --port or --host") from error
