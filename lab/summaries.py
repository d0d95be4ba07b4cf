"""TensorBoard's summary values: text, images, histograms, the custom layout and the hparams table, without torch."""

import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as table
from tensorboard.plugins.pr_curve import metadata as pr
from tensorboard.plugins.text import metadata as text_plugin
from tensorboard.util.tensor_util import make_tensor_proto

Value = Any                       # tensorboard.compat.proto.summary_pb2.Summary.Value, which has no types

CHOICES = ("agent", "env", "data", "model", "optimizer")       # config groups whose values are columns of the table
ENDS = {"finished": api_pb2.STATUS_SUCCESS, "failed": api_pb2.STATUS_FAILURE, "diverged": api_pb2.STATUS_FAILURE}


def text(name: str, markdown: str) -> Value:
    return Summary.Value(tag=name, tensor=make_tensor_proto([markdown.encode()]),
                         metadata=text_plugin.create_summary_metadata(name, ""))


def image(name: str, encoded: bytes) -> Value:
    """The bytes of a PNG or a GIF, shown as they are; a GIF moves."""
    width, height = Image.open(io.BytesIO(encoded)).size
    return Summary.Value(tag=name, image=Summary.Image(width=width, height=height, encoded_image_string=encoded))


def histogram(name: str, counted: bytes) -> Value:
    """What `lab.media.histogram` returns."""
    data = json.loads(counted)
    counts, edges = data["counts"], data["edges"]
    return Summary.Value(tag=name, histo=HistogramProto(
        min=edges[0], max=edges[-1], num=sum(counts), sum=data["sum"], sum_squares=data["sum_squares"],
        bucket=counts, bucket_limit=edges[1:]))


def layout(groups: Iterable[str]) -> Value:
    """The custom layout: one chart for each group, with a line for each of its metrics."""
    charts = [layout_pb2.Chart(title=group, multiline=layout_pb2.MultilineChartContent(tag=[f"^{re.escape(group)}/"]))
              for group in groups]
    category = layout_pb2.Category(title="overview", chart=charts)
    encoded = layout_pb2.Layout(category=[category]).SerializeToString()
    return Summary.Value(tag=custom_scalar.CONFIG_SUMMARY_TAG, tensor=make_tensor_proto(encoded),
                         metadata=custom_scalar.create_summary_metadata())


def columns(config: Mapping[str, Any]) -> dict[str, float | bool | str]:
    """The hyperparameters of a run, named as on the command line: {"agent.name": "dqn", "optimizer.lr": 0.001, ...}.

    What is None is left out; a list and a number that is not finite are written as text.
    """
    groups = {name: group for name, group in config.items() if isinstance(group, Mapping)}
    flat = {f"{name}.{key}": value for name in CHOICES for key, value in groups.get(name, {}).items()}
    flat |= {"compute.precision": groups.get("compute", {}).get("precision"), "seed": config.get("seed")}
    plain = {key: value for key, value in flat.items() if value is not None and not isinstance(value, Mapping)}
    return {key: value if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)) else str(value)
            for key, value in plain.items()}


def hparams(config: Mapping[str, Any], started: float) -> Value:
    """The row of a run in the hparams table, written at its start; `started` in seconds since 1970.

    There is no summary of the whole experiment on purpose: TensorBoard would take the columns and metrics of all runs
    from the first it finds. Without one it joins those of all runs and puts what differs between them first.
    """
    session = plugin_data_pb2.SessionStartInfo(start_time_secs=started)
    for name, value in columns(config).items():
        kind = {bool: "bool_value", str: "string_value"}.get(type(value), "number_value")
        setattr(session.hparams[name], kind, value)
    return table_value(table.SESSION_START_INFO_TAG, session_start_info=session)


def hparams_end(status: str, ended: float) -> list[Value]:
    """Completes the row. TensorBoard keeps the first end of a run, so one that may be resumed gets none."""
    if status not in ENDS:
        return []
    end = plugin_data_pb2.SessionEndInfo(status=ENDS[status], end_time_secs=ended)
    return [table_value(table.SESSION_END_INFO_TAG, session_end_info=end)]


def table_value(tag: str, **content: Any) -> Value:
    data = plugin_data_pb2.HParamsPluginData(**content)
    return Summary.Value(tag=tag, metadata=table.create_summary_metadata(data), tensor=table.NULL_TENSOR)


def pr_curve(name: str, counted: bytes) -> Value:
    """The JSON of `lab.media.Counts`, for the tab of precision and recall."""
    counts = json.loads(counted)
    true, false, negative, missed = (np.array(counts[each], np.float64) for each in (
        "true_positives", "false_positives", "true_negatives", "false_negatives"))          # [T] each
    precision, recall = true / np.maximum(true + false, 1), true / np.maximum(true + missed, 1)
    return Summary.Value(tag=name, metadata=pr.create_summary_metadata(name, "", len(true)),
                         tensor=make_tensor_proto(np.stack([true, false, negative, missed, precision, recall])))


def table_text(name: str, data: bytes) -> Value:
    """CSV as it is."""
    return text(name, f"```\n{data.decode()}```")


MEDIA: dict[str, Callable[[str, bytes], Value]] = {
    ".png": image, ".gif": image, ".json": histogram, ".md": lambda name, data: text(name, data.decode()),
    ".csv": table_text, ".pr": pr_curve,
}
