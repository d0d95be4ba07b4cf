"""`lab tensorboard`, and the event file made anew from what a run folder holds."""

import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from lab import media
from lab.commands import tensorboard as command
from lab.errors import ResumeError, RunInUse, UsageError
from lab.run_folder import RunFolder
from lab.sinks import rebuild


@pytest.fixture
def run(tmp_path):
    """A run folder with two records, a clip and a histogram."""
    lines = [{"count": 10, "updates": 1, "time": 1.0, "metrics": {"loss/td": 0.5, "time/steps_per_s": 9.0}},
             {"count": 20, "updates": 2, "time": 2.0, "metrics": {"loss/td": None, "eval/return/mean": 21.5}}]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"count": 30, "up')
    (tmp_path / "config.yaml").write_text("agent: {name: dqn, batch_size: 64}\nseed: 3\n")
    (tmp_path / "run.json").write_text('{"status": "finished"}')
    media.place(tmp_path, "eval/episode", 20, ".gif").write_bytes(media.gif([np.zeros((4, 6, 3), np.uint8)] * 2, 30))
    media.place(tmp_path, "weights/net", 20, ".json").write_bytes(media.histogram([0.0, 1.0, 1.0], bins=2))
    media.place(tmp_path, "notes", 20, ".csv").write_text("not for TensorBoard")
    return tmp_path


def test_rebuild_replaces_the_event_files_by_one_with_everything(run):
    (run / "events.out.tfevents.0000000001.lab").write_bytes(b"damaged")
    path = rebuild(run)
    assert list(run.glob("events.out.*")) == [path] and not list(run.glob(".rebuild*")) and not (run / ".lock").exists()
    events = EventAccumulator(str(run)).Reload()
    first, second = events.Scalars("loss/td")
    assert (first.step, first.value, second.step) == (10, 0.5, 20) and math.isnan(second.value)
    assert second.wall_time - first.wall_time == 1.0
    assert [(event.step, event.value) for event in events.Scalars("eval/return/mean")] == [(20, 21.5)]
    assert events.Images("eval/episode")[0].step == 20 and events.Histograms("weights/net")[0].histogram_value.num == 3
    assert "batch_size: 64" in events.Tensors("config")[0].tensor_proto.string_val[0].decode()
    assert set(events.PluginTagToContent(metadata.PLUGIN_NAME)) == {
        metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}


def test_rebuild_leaves_a_run_that_is_being_trained_alone(run):
    (run / "events.out.tfevents.0000000001.lab").write_bytes(b"live")
    with RunFolder(run, "dqn", keep=1), pytest.raises(RunInUse):
        rebuild(run)
    assert (run / "events.out.tfevents.0000000001.lab").read_bytes() == b"live"


def test_the_command_rebuilds_and_refuses_what_is_no_folder(run, tmp_path, capsys):
    assert command.main(["--rebuild", str(run)]) == 0
    assert "wrote" in capsys.readouterr().out
    with pytest.raises(ResumeError, match="run folder"):
        command.main(["--rebuild", str(tmp_path / "media")])
    with pytest.raises(UsageError, match="nowhere"):
        command.main([str(tmp_path / "nowhere")])


def test_the_command_serves_on_this_machine_alone_and_ends_with_ctrl_c(run):
    code = "import sys; from lab.commands.tensorboard import main; sys.exit(main(sys.argv[1:]))"
    server = subprocess.Popen([sys.executable, "-c", code, str(run), "--port", "0"], text=True, start_new_session=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert "http://127.0.0.1:" in server.stdout.readline()
        os.kill(server.pid, signal.SIGINT)
        assert server.wait(timeout=60) == 130
    finally:
        server.kill()
        server.stdout.close()
