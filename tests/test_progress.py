"""The console: plain lines, the live bar in a pseudo-terminal, rates, and streams that go away."""

import io
import os
import pty
import re
import subprocess
import sys
import threading

import pytest

from lab.pace import Sample
from lab.progress import Lines, Moment, Progress, figures, interactive


class Screen:
    """Stands in for the modules `time` and `sys`: the clock goes on only when told to, and what is said is kept."""

    def __init__(self):
        self.now, self.stderr = 0.0, io.StringIO()

    def monotonic(self):
        return self.now

    def lines(self):
        return self.stderr.getvalue().splitlines()


@pytest.fixture
def screen(monkeypatch):
    """Progress with a clock of its own and without its thread."""
    screen = Screen()
    monkeypatch.setattr("lab.progress.time", screen)
    monkeypatch.setattr("lab.progress.sys", screen)
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    monkeypatch.setattr(threading.Thread, "join", lambda self, timeout: None)
    return screen


def test_a_plain_line_says_how_far_how_fast_and_how_well(screen):
    counts = iter([0, 8100, 12000, 12000])
    progress = Progress(50_000, "steps", lambda: next(counts))
    progress.pace.add(Sample(0.0, next(counts), 0.0))
    progress.pace.add(Sample(1.0, next(counts), 0.162))
    progress.update({"loss/td": 0.1234, "episode/return": 210.2, "eval/return/mean": 480.0, "grad/norm": 2.0})
    # 38,000 of 50,000 steps are left, 0.76 of all; at 0.162 of all a second that takes 4.7 seconds
    assert screen.lines() == ["12,000/50,000 steps  24%  8,100 steps/s  0:05 left  episode/return 210  loss/td 0.123  "
                       "eval/return/mean 480"]


def test_lines_come_at_most_every_two_seconds_but_evaluations_and_the_last_always(screen):
    count = 0
    with Progress(100, "steps", lambda: count) as progress:
        for count in range(1, 51):            # noqa: B007  Progress reads it: a record every 0.1 seconds
            screen.now += 0.1
            progress.update({"loss/a": 1.0})
        assert [line.split("/")[0] for line in screen.lines()] == ["1", "21", "41"]
        progress.update({"eval/loss": 0.5})
        assert len(screen.lines()) == 4 and screen.lines()[-1].endswith("loss/a 1  eval/loss 0.5")
        count = 60
    assert len(screen.lines()) == 5 and screen.lines()[-1].startswith("60/100 steps  60%")


def test_the_last_line_is_not_said_twice(screen):
    with Progress(100, "steps", lambda: 100) as progress:
        progress.update({"eval/loss": 0.5})
    assert screen.lines() == ["100/100 steps  100%  eval/loss 0.5"]


def test_a_run_of_a_second_has_a_rate_on_its_last_line(screen):
    with Progress(100, "steps", lambda: int(50 * screen.now)):
        screen.now = 1.0
    assert screen.lines() == ["50/100 steps  50%  50 steps/s  0:01 left"]


@pytest.mark.parametrize(("total", "fraction", "line"), [
    (None, None, "7 tokens"), (None, lambda: 0.29, "7 tokens  29%"), (100, lambda: 0.5, "7/100 tokens  50%"),
    (None, lambda: 1.7, "7 tokens  100%"), (7_000, None, "7/7,000 tokens  0%")])
def test_what_is_not_known_is_not_said(screen, total, fraction, line):
    with Progress(total, "tokens", lambda: 7, fraction=fraction):
        pass
    assert screen.lines() == [line]


def test_the_training_loop_may_end_by_an_exception(screen):
    with pytest.raises(KeyError), Progress(10, "steps", lambda: 3):
        raise KeyError
    assert screen.lines() == ["3/10 steps  30%"]


def test_no_escape_codes_where_there_is_no_terminal(screen):
    with Progress(10, "steps", lambda: 3) as progress:
        progress.note("[bold]said[/bold]")
    assert "\x1b" not in screen.stderr.getvalue() and screen.lines()[0] == "[bold]said[/bold]"


def test_terminals_are_told_from_files(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    closed = io.StringIO()
    closed.close()
    assert [interactive(stream) for stream in (Terminal(), io.StringIO(), closed, None)] == [True, False, False, False]
    monkeypatch.setenv("TERM", "dumb")
    assert not interactive(Terminal())


@pytest.mark.parametrize(("metrics", "expected"), [
    (["loss/td", "eval/return/mean", "eval/return/std", "episode/return", "episode/length"],
     ["episode/return", "loss/td", "eval/return/mean"]),
    (["loss/ce", "eval/loss", "eval/accuracy"], ["loss/ce", "eval/accuracy", "eval/loss"]),
    (["episode/return", "eval/accuracy", "eval/return/mean", "loss/td"],
     ["episode/return", "loss/td", "eval/return/mean"]),
    (["loss/generator", "loss/discriminator", "grad/norm"], ["loss/generator", "loss/discriminator"]),
    (["loss/a", "loss/b", "loss/c", "eval/bits", "eval/other"], ["loss/a", "loss/b", "eval/bits"]),
    (["grad/norm"], [])])
def test_the_figures_that_matter_most_are_picked_by_general_rules(metrics, expected):
    assert figures(dict.fromkeys(metrics, 1.0)) == expected


def test_a_broken_pipe_and_a_closed_or_missing_stream_are_no_errors():
    reading, writing = os.pipe()
    os.close(reading)
    closed = io.StringIO()
    closed.close()
    with io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True) as broken:
        for stream in (broken, closed, None):
            Lines(stream, 2.0).show(Moment(1, None, "1 step", ""), at_once=True)


SCRIPT = """
import threading
from lab.progress import Progress
drawn = threading.Event()
with Progress(200, "steps", lambda: 100) as progress:
    progress.update({"loss/td": 0.5})
    tick = progress.view.tick
    progress.view.tick = lambda moment: (tick(moment), drawn.set())
    drawn.wait(30)
    progress.note("a [note]")
print("after")
"""


def in_terminal(script, **env):
    """What a script writes to a terminal of 80 columns."""
    leader, follower = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **env}
    command, screen = [sys.executable, "-c", script], dict.fromkeys(("stdin", "stdout", "stderr"), follower)
    with subprocess.Popen(command, env=env, **screen) as child:
        os.close(follower)
        written = b""
        try:
            while chunk := os.read(leader, 65536):
                written += chunk
        except OSError:                       # how Linux says that the other side has closed
            pass
    os.close(leader)
    assert child.returncode == 0, written.decode()
    return written.decode()


def test_a_terminal_gets_a_live_bar_and_notes_above_it():
    text = in_terminal(SCRIPT)
    assert "━" in text and "\x1b[2K" in text and "100/200 steps  50%" in text and "loss/td 0.5" in text
    assert text.rindex("a [note]") < text.rindex("100/200") < text.rindex("after")
    assert text.rindex("\x1b[?25l") < text.index("\x1b[?25h") < text.index("━")       # a kill leaves a cursor
    assert re.search(r"\n(\x1b\[\?25h)?after", text)


def test_a_simple_terminal_gets_plain_lines():
    text = in_terminal(SCRIPT, TERM="dumb")
    assert "\x1b" not in text and "100/200 steps  50%  loss/td 0.5" in text


def test_no_color_means_a_bar_without_colour():
    text = in_terminal(SCRIPT, NO_COLOR="1")
    assert "━" in text and not re.search(r"\x1b\[[0-9;]*m", text)
