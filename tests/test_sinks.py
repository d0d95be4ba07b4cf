"""The event file read back as TensorBoard reads it, and sinks that fail."""

import io
import logging
import math
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, metadata

from lab import media, sinks, summaries
from lab.sinks import Guarded, Sink, TensorBoard

CONFIG = {"agent": {"name": "dqn", "batch_size": 64, "double": True, "hidden": [8, 8], "clip": None},
          "env": {"id": "CartPole-v1"}, "data": None, "optimizer": {"name": "adam", "lr": 1e-3, "decay": {"a": 1}},
          "compute": {"precision": "fp32", "threads": 1}, "budget": {"steps": 100}, "seed": 3}


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0}).Reload()


def scalars(folder, name):
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


def events_of(folder):
    return [event for path in sorted(folder.glob("events.out.*")) for event in LegacyEventFileLoader(str(path)).Load()]


def values_of(folder, tag):
    return [value for event in events_of(folder) for value in event.summary.value if value.tag == tag]


def test_scalars_are_the_values_that_were_written(tmp_path):
    board = TensorBoard(tmp_path)
    board.write(10, {"loss/td": 0.25, "episode/return": 7}, 1000.5)
    board.write(20, {"loss/td": -3.5, "episode/return": np.float32(8)}, 1001.5)
    assert scalars(tmp_path, "loss/td") == [(10, 0.25), (20, -3.5)]         # and that before any flush or close
    assert [event.wall_time for event in read(tmp_path).Scalars("episode/return")] == [1000.5, 1001.5]
    board.close("finished")


def test_all_scalars_of_a_write_are_one_event(tmp_path):
    board = TensorBoard(tmp_path)
    board.write(10, {f"time/{i}": float(i) for i in range(10)}, 1000.0)
    board.close("stopped")
    assert [len(event.summary.value) for event in events_of(tmp_path) if event.step == 10] == [10]


def test_values_that_are_not_finite_are_written(tmp_path):
    board = TensorBoard(tmp_path)
    board.write(10, {"loss/a": math.nan, "loss/b": math.inf, "loss/c": 1e300}, 1000.0)
    board.close("diverged")
    assert math.isnan(scalars(tmp_path, "loss/a")[0][1]) and scalars(tmp_path, "loss/b") == [(10, math.inf)]


def test_a_resume_shows_every_step_once(tmp_path):
    first = TensorBoard(tmp_path)
    for count in (10, 20, 30, 40):
        first.write(count, {"loss/td": 1.0}, time.time())
    again = TensorBoard(tmp_path)                                        # the first was killed: never closed
    again.restart(20)
    again.write(30, {"loss/td": 2.0}, time.time())
    again.close("finished")
    assert scalars(tmp_path, "loss/td") == [(10, 1.0), (20, 1.0), (30, 2.0)]
    first.file.close()


def test_files_of_later_sittings_come_later_by_name_even_within_a_second(tmp_path, monkeypatch):
    monkeypatch.setattr(sinks.time, "time", lambda: 1000.0)
    boards = [TensorBoard(tmp_path) for _ in range(12)]
    paths = [board.file.path for board in boards]
    assert paths == sorted(paths) and len(set(paths)) == 12
    for board in boards:
        board.file.close()


def test_the_layout_has_one_chart_for_each_group_without_the_clock(tmp_path):
    board = TensorBoard(tmp_path)
    board.write(10, {"loss/td": 1.0, "time/steps_per_s": 9.0, "episode/return": 1.0}, 1000.0)
    board.write(20, {"loss/td": 1.0, "eval/return/mean": 1.0}, 1000.0)
    board.write(30, {"loss/td": 1.0}, 1000.0)
    board.close("finished")
    written = values_of(tmp_path, "custom_scalars__config__")
    assert len(written) == 2                                             # again only when a group is new
    (category,) = layout_pb2.Layout.FromString(written[-1].tensor.string_val[0]).category
    assert [(chart.title, list(chart.multiline.tag)) for chart in category.chart] == [
        ("episode", ["^episode/"]), ("eval", ["^eval/"]), ("loss", ["^loss/"])]


def test_one_row_of_hyperparameters_for_a_run_also_after_a_resume(tmp_path):
    board = TensorBoard(tmp_path)
    board.start(CONFIG)
    board.close("stopped")
    board = TensorBoard(tmp_path)
    board.restart(0)
    board.close("finished")
    (row,) = values_of(tmp_path, metadata.SESSION_START_INFO_TAG)
    hparams = metadata.parse_session_start_info_plugin_data(row.metadata.plugin_data.content).hparams
    assert hparams["optimizer.lr"].number_value == 1e-3 and hparams["agent.double"].bool_value is True
    assert hparams["env.id"].string_value == "CartPole-v1"
    (end,) = values_of(tmp_path, metadata.SESSION_END_INFO_TAG)
    ended = metadata.parse_session_end_info_plugin_data(end.metadata.plugin_data.content)
    assert ended.status == api_pb2.STATUS_SUCCESS


def test_columns_are_plain_and_named_as_on_the_command_line():
    assert summaries.columns(CONFIG) == {
        "agent.name": "dqn", "agent.batch_size": 64, "agent.double": True, "agent.hidden": "[8, 8]",
        "env.id": "CartPole-v1", "optimizer.name": "adam", "optimizer.lr": 1e-3, "compute.precision": "fp32", "seed": 3}
    assert summaries.columns({"agent": {"clip": math.inf}}) == {"agent.clip": "inf"}


def test_the_config_is_shown_as_text(tmp_path):
    board = TensorBoard(tmp_path)
    board.start({"agent": {"name": "dqn"}, "seed": 3})
    board.close("finished")
    (text,) = read(tmp_path).Tensors("config")
    assert text.tensor_proto.string_val[0].decode() == "```yaml\nagent:\n  name: dqn\nseed: 3\n```"


def test_pictures_and_clips_are_stored_as_the_bytes_of_their_files(tmp_path):
    frames = [np.full((4, 6, 3), 60 * i, np.uint8) for i in range(3)]
    clip, picture = media.gif(frames, 30), media.png(frames[1])
    board = TensorBoard(tmp_path)
    for name, kind, content in (("eval/episode", ".gif", clip), ("samples", ".png", picture)):
        path = media.place(tmp_path, name, 20, kind)
        path.write_bytes(content)
        board.media(20, name, path)
    board.close("finished")
    (shown,) = read(tmp_path).Images("eval/episode")
    assert (shown.encoded_image_string, shown.width, shown.height, shown.step) == (clip, 6, 4, 20)
    assert clip[:6] == b"GIF89a" and read(tmp_path).Images("samples")[0].encoded_image_string == picture


def test_a_histogram_keeps_its_counts(tmp_path):
    path = tmp_path / "h.json"
    path.write_bytes(media.histogram([0.0, 0.4, 1.0, math.nan], bins=2))  # [0, 0.5) holds two, [0.5, 1] one
    board = TensorBoard(tmp_path)
    board.media(20, "weights/net", path)
    board.close("finished")
    (shown,) = read(tmp_path).Histograms("weights/net")
    histogram = shown.histogram_value
    assert (list(histogram.bucket), list(histogram.bucket_limit), histogram.num) == ([2, 1], [0.5, 1.0], 3)
    assert histogram.sum == 1.4 and histogram.sum_squares == pytest.approx(1.16)


class Broken(Sink):
    repair = "look elsewhere"

    def __init__(self):
        self.calls = []

    def write(self, count, metrics, wall_time):
        self.calls.append("write")
        raise RuntimeError("no network")

    def close(self, status):
        self.calls.append(status)


class Kept(Sink):
    def __init__(self):
        self.counts = []

    def write(self, count, metrics, wall_time):
        self.counts.append(count)


def test_a_sink_that_raises_is_dropped_with_one_warning_and_the_others_go_on(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("lab"), "propagate", True)
    broken, kept = Broken(), Kept()
    both = Guarded([broken, kept])
    both.start({})
    for count in (10, 20, 30):
        both.write(count, {"loss/td": 1.0}, 1000.0)
    both.close("finished")
    assert broken.calls == ["write", "dropped"] and kept.counts == [10, 20, 30]
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert warning.getMessage() == ("Broken failed in write (RuntimeError: no network); training continues without it. "
                                    "look elsewhere")


def test_a_full_disk_is_an_error_of_the_write_and_names_the_repair(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("lab"), "propagate", True)
    board = TensorBoard(tmp_path)
    guarded = Guarded([board])
    guarded.write(10, {"time/a": 1.0}, 1000.0)
    board.file.raw.close()
    board.file.raw = io.FileIO("/dev/full", "wb")
    guarded.write(20, {"time/a": 1.0}, 1000.0)
    guarded.write(30, {"time/a": 1.0}, 1000.0)
    assert guarded.sinks == [] and f"lab tensorboard --rebuild {tmp_path}" in caplog.records[0].getMessage()
    assert len(caplog.records) == 1 and scalars(tmp_path, "time/a") == [(10, 1.0)]
