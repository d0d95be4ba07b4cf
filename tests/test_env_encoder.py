"""What an environment holds, as plain data and back; what is refused, because it would not come back."""

import enum
import itertools
import logging
import queue
import random
import threading
import weakref
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_env_state import Bag, Base

from lab import checkpoint
from lab.env_decoder import Decoder
from lab.env_encoder import encoded
from lab.env_holders import CannotSave
from lab.env_state import same
from lab.env_twin import attributes
from lab.errors import ResumeError


class Color(enum.IntEnum):
    RED, BLUE = 1, 2


class Point(NamedTuple):
    x: int
    y: np.float32


@dataclass(frozen=True)
class Fixed:
    size: int


@dataclass
class Slotted:
    __slots__ = ("a", "b")
    a: int
    b: Any


def through(old, new):
    """What `new` becomes when the state of `old` is put into it."""
    Decoder().decode(encoded(old), new, "env")
    return new


@pytest.mark.parametrize("value, there", [
    (np.float32(0.1), None), (np.bool_(True), None), (np.int8(3), 0), (2**100, 0), (float("inf"), 0), ((1, [2]), None),
    ({1: "a", (2, 3): {"b"}, None: frozenset({4})}, {}), (deque([1, 2], maxlen=5), None),
    (np.ones((2, 0), np.uint8), 0), (np.array(2.5), None),
    (np.asfortranarray(np.arange(6).reshape(2, 3)), None), (Color.BLUE, Color.RED),
    (np.array([1 + 2j]), None), (np.complex64(1j), None), (np.array(["a", "bc"]), None),
    (np.arange(2, dtype=">i4"), None), (np.array([b"ab", b"c"]).reshape(1, 2).T, None),
    (np.datetime64("2026-01-01"), None), (np.longdouble(1) / 3, None),
    (Point(1, np.float32(2)), Point(0, np.float32(0))), (defaultdict(list, a=[1]), defaultdict(list))])
def test_values_come_back_as_they_were(value, there):
    back = through(Bag(it=value), Bag(it=there)).it
    assert type(back) is type(value)
    assert same(back, value)
    assert getattr(back, "maxlen", None) == getattr(value, "maxlen", None)
    assert getattr(back, "default_factory", None) is getattr(value, "default_factory", None)


@pytest.mark.parametrize("value", [
    np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(24).reshape(2, 3, 4).T,
    np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1), np.ones((2, 3), complex).T, np.zeros((0, 3)),
    np.zeros((3, 1, 2))])
def test_arrays_lie_in_memory_as_they_did(value, tmp_path):
    """A sum over them adds in this order."""
    checkpoint.write(tmp_path, 1, {"env": encoded(Bag(it=value))}, keep=1)
    new = Bag(it=None)
    Decoder().decode(checkpoint.newest(tmp_path, print)[1]["env"], new, "env")
    assert same(new.it, value) and new.it.strides == value.strides and new.it.flags.writeable


def test_objects_are_filled_in_place():
    new = Bag(inner=Bag(n=1), slots=Slotted(1, [2]), many=[Bag(n=1), Bag(n=2)])
    inner, slots, second = new.inner, new.slots, new.many[1]
    through(Bag(inner=Bag(n=5), slots=Slotted(3, [4]), many=[Bag(n=6), Bag(n=7)]), new)
    assert new.inner is inner and inner.n == 5
    assert new.slots is slots and (slots.a, slots.b) == (3, [4])
    assert new.many[1] is second and second.n == 7


def test_what_is_no_state_stays_as_it_is():
    def things():
        return Bag(f=lambda: 0, kind=type("Kind", (), {}), lock=threading.Lock(), thread=threading.Thread(),
                   module=np, many=[abs, threading.Lock()])

    old, new = things(), things()
    before = dict(vars(new))
    assert all(value is before[name] for name, value in vars(through(old, new)).items() if name != "many")
    assert new.many == before["many"]


def test_a_frozen_constant_stays_what_it_is():
    constant = Fixed(1)
    assert through(Bag(size=Fixed(9)), Bag(size=constant)).size == Fixed(9)
    assert constant == Fixed(1)


def test_what_was_shared_is_shared_and_cycles_end():
    rng, row = np.random.RandomState(3), np.zeros(2)
    old = Bag(rng=rng, game=Bag(rng=rng, row=row), rows=[row, row], me=None)
    old.me, old.game.owner = old, old
    old.rows.append(old.rows)
    new = Bag(rng=np.random.RandomState(), game=Bag(rng=np.random.RandomState(), row=None), rows=[], me=None)
    through(old, new)
    assert new.rng is new.game.rng and new.me is new and new.game.owner is new
    assert new.rows[0] is new.rows[1] is new.game.row and new.rows[2] is new.rows
    assert new.rng.rand() == rng.rand()


@pytest.mark.parametrize("make", [lambda seed: np.random.Generator(np.random.MT19937(seed)), np.random.default_rng,
                                  np.random.RandomState, random.Random])
def test_generators_go_on_in_place(make):
    old, new = Bag(rng=make(1)), Bag(rng=make(2))
    draw = new.rng.random                                 # someone else holds it too
    old.rng.random()
    assert through(old, new).rng.random() == old.rng.random()
    assert draw() == old.rng.random()
    assert through(old, Bag(rng=None)).rng.random() == old.rng.random()   # or a new one, where there is none


def test_generators_of_spaces_are_state():
    old, new = Bag(space=spaces.Dict(a=spaces.Discrete(1000))), Bag(space=spaces.Dict(a=spaces.Discrete(1000)))
    old.space.sample()
    assert through(old, new).space.sample() == old.space.sample()


def spawned(seed):
    rng = np.random.default_rng(seed)
    rng.spawn(1)
    return rng


def shared(make):
    """A bag with a list and a function that keeps it."""
    numbers = [1]
    return Bag(numbers=numbers, add=make(numbers))


def nested(depth):
    bag = None
    for _ in range(depth):
        bag = Bag(it=bag)
    return bag


def holes():
    """What is left of a larger set, in the order of that one."""
    cells = {(x, y) for x in range(20) for y in range(20)}
    for k in range(200):
        cells.discard((k % 20, k // 20))
    return cells


BOARD, PICTURE = np.zeros((2, 3)), np.zeros((4, 4, 2))


@pytest.mark.parametrize("value, text", [
    (Bag(it=iter([1])), r"env\.it is builtins\.list_iterator, which cannot be saved"),
    (Bag(it=[itertools.count()]), r"env\.it\.0 is itertools\.count"),
    (Bag(it=(n for n in [1])), r"env\.it is builtins\.generator"),
    (Bag(board=BOARD, mine=BOARD[0]), r"env\.(board|mine) and env\.(board|mine) share their memory"),
    (Bag(all=PICTURE, low=PICTURE[1], high=PICTURE[3]), r"env\.all and env\.(low|high) share"),
    (Bag(a=BOARD[:, 1:], b=[BOARD[1, :2]]), r"share their memory"),
    (Bag(rng=spawned(1)), r"env\.rng has spawned other generators"),
    (Bag(it=np.array([Bag()])), r"env\.it is numpy\.ndarray of objects"),
    (Bag(it=holes()), r"env\.it is a set whose order would be another"),
    (Bag(it=frozenset(holes())), r"env\.it is a set whose order"), (Bag(it=StringIO("a")), "env.it is _io.StringIO"),
    (Bag(it=bytearray(3)), r"env\.it is builtins\.bytearray"),
    (nested(101), r"env\.it\.it.* is nested more than 100 deep"),
    (Bag(it=2**20_000), r"env\.it is an integer of 20,001 bits")],
    ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_known_not_to_come_back_is_refused(value, text):
    with pytest.raises(CannotSave, match=text):
        encoded(value)


@pytest.mark.parametrize("make", [
    lambda: Bag(f=partial(next, itertools.count())), lambda: shared(lambda numbers: lambda n: numbers.append(n)),
    lambda: shared(lambda numbers: numbers.append), lambda: shared(lambda numbers: partial(list.append, numbers)),
    lambda: shared(lambda numbers: lambda n, numbers=numbers: numbers.append(n))])
def test_functions_that_keep_what_is_made_anew_are_refused(make):
    old, new = make(), make()
    new.reset = old.reset = lambda seed: None
    with pytest.raises(CannotSave, match=r"env\.(f|add) is .*, which cannot be saved, and that of a new one is not"):
        attributes(old, new, 1)


def test_what_looks_like_it_and_does_come_back_is_saved(tmp_path):
    """Rows and channels of arrays, children of a generator, functions that hold objects or constants; what is deep."""
    bag, constant, rows = Bag(n=1), [2], np.zeros((2, 3))
    old = Bag(bag=bag, f=lambda: bag.n + constant[0], one=rows[0], two=rows[1], rng=spawned(1).spawn(1)[0],
              backwards=np.arange(3)[::-1], red=PICTURE[..., 0], green=PICTURE[..., 1], order=set(range(99)),
              deep=nested(98))
    checkpoint.write(tmp_path, 1, {"env": encoded(old)}, keep=1)
    new = Bag(bag=Bag(), f=old.f, rng=None, deep=nested(98))
    Decoder().decode(checkpoint.newest(tmp_path, print)[1]["env"], new, "env")
    assert new.bag.n == 1 and same(new.backwards, np.array([2, 1, 0])) and new.rng.random() == old.rng.random()


def test_a_log_is_left_out(tmp_path):
    with open(tmp_path / "log", "w") as log, open(tmp_path / "log", "rb") as read:
        assert encoded(Bag(log=log))["left"] == ["log"]
        with pytest.raises(CannotSave, match=r"env\.read is _io\.BufferedReader"):
            encoded(Bag(read=read))
    assert encoded(Bag(log=log, read=read))["left"] == ["log", "read"]


def test_attributes_that_were_deleted_are_gone():
    def hidden():
        return 0

    new = Bag(extra=5, inner=Bag(a=1, b=2), slots=Slotted(1, 2), f=hidden)
    old = Bag(inner=Bag(a=3), slots=Slotted(3, 4), f=hidden)
    del old.slots.b
    through(old, new)
    assert vars(new).keys() == {"inner", "slots", "f"} and vars(new.inner) == {"a": 3}
    assert new.slots.a == 3 and not hasattr(new.slots, "b") and new.f is hidden


def test_two_that_have_one_place_in_the_new_one_become_two():
    one, rng = Bag(n=0, inner=Bag(n=0)), np.random.default_rng(0)
    new = Bag(a=one, b=one, rng=rng, other=rng)
    old = Bag(a=Bag(n=1, inner=Bag(n=3)), b=Bag(n=2, inner=Bag(n=4)), rng=np.random.default_rng(1),
              other=np.random.default_rng(2))
    through(old, new)
    assert (new.a.n, new.b.n, new.a.inner.n, new.b.inner.n) == (1, 2, 3, 4) and new.a is one
    assert new.rng is rng and (new.rng.random(), new.other.random()) == (old.rng.random(), old.other.random())


class Late(Base):
    """Without end; at its 90th step it does what only `event` of a subclass knows."""

    def step(self, action):
        self.t += 1
        if self.t == 90:
            self.event()
        return self.observe(), 0.0, False, False, {}


class Views(Late):
    def reset(self, *, seed=None, options=None):
        self.board = np.zeros((2, 3))
        self.mine = self.board[0]
        return super().reset(seed=seed)

    def event(self):
        self.mine[0] = 1

    def draw(self):
        return self.board.sum()


class Deleted(Late):
    def reset(self, *, seed=None, options=None):
        self.key = 1
        return super().reset(seed=seed)

    def event(self):
        del self.key

    def draw(self):
        return float(hasattr(self, "key"))


class Callback(Late):
    def reset(self, *, seed=None, options=None):
        got = self.got = []
        self.event = lambda: got.append(1)
        return super().reset(seed=seed)

    def draw(self):
        return float(len(self.got))


class Spawns(Late):
    """Each child of a generator is another."""

    drawn = 0.0

    def event(self):
        self.drawn = self.np_random.spawn(1)[0].random()

    def draw(self):
        return self.drawn


class Aliased(Late):
    """The best state is at first the very one that moves, and a copy of it later."""

    def reset(self, *, seed=None, options=None):
        self.now = self.best = Bag(n=0.0)
        return super().reset(seed=seed)

    def event(self):
        self.best = Bag(n=self.now.n)

    def draw(self):
        self.now.n += 1
        return self.best.n


class Behaves(Late):
    """Its behaviour is one of its methods."""

    def reset(self, *, seed=None, options=None):
        self.behaviour, self.best = self.patrol, None
        return super().reset(seed=seed)

    def event(self):
        self.behaviour = self.chase

    def patrol(self):
        return 1.0

    def chase(self):
        return 2.0

    def draw(self):
        return self.behaviour()


class Follows(Late):
    """The same method, of another object."""

    def reset(self, *, seed=None, options=None):
        self.bags = [Bag(n=1), Bag(n=2)]
        self.tell, self.best = self.bags[0].__eq__, weakref.ref(self.bags[0])
        return super().reset(seed=seed)

    def event(self):
        self.tell = self.bags[1].__eq__

    def draw(self):
        return float(self.tell(self.bags[1]) is True)


class Refers(Follows):
    def event(self):
        self.best = weakref.ref(self.bags[1])

    def draw(self):
        return self.best().n


class Appears(Behaves):
    """A function where there is none at the start."""

    def event(self):
        self.best = self.chase

    def draw(self):
        return self.best() if self.best else 0.0


class Mode(Late):
    def reset(self, *, seed=None, options=None):
        self.mode = int
        return super().reset(seed=seed)

    def event(self):
        self.mode = bool

    def draw(self):
        return float(self.mode(3))


class Counts(Late):
    """In a variable of a function; `start`, `more` and `shown` are of other kinds in subclasses."""

    def reset(self, *, seed=None, options=None):
        self.set()
        return super().reset(seed=seed)

    def set(self):
        n = 0

        def event():
            nonlocal n
            n += 1
            return n

        self.event, self.shown = event, lambda: float(n)

    def draw(self):
        return self.shown()


class Kept(Counts):
    """Values of kinds that are left out, in attributes."""

    def set(self):
        self.value = self.start()

    def event(self):
        self.value = self.more(self.value)

    def draw(self):
        return self.show(self.value)


def kept(start, more, show=float):
    return type("Kept", (Kept,), {"start": staticmethod(start), "more": staticmethod(more), "show": staticmethod(show)})


class Deck(list):
    drawn = 0


class Table(dict):
    def __init__(self):
        self.bags = [Bag(n=0)]


class Pair(tuple):
    pass


class Lucky(random.Random):
    pass


class Speed(float):
    pass


class Vector(np.ndarray):
    pass


def drawn(deck):
    deck.drawn += 1
    return deck


def counted(table):
    table.bags[0].n += 1
    table["key"] = 1
    return table


SAVED = {
    "list of its own": kept(Deck, drawn, lambda deck: deck.drawn),
    "dict of its own": kept(Table, counted, lambda table: table.bags[0].n + table.get("key", 0)),
    "tuple of its own": kept(Pair, lambda pair: Pair([1, 2]), len),
    "generator of its own": kept(lambda: Lucky(1), lambda rng: rng, Lucky.random),
    "bytes": kept(bytes, lambda b: b + b"x", len), "complex": kept(complex, lambda c: c + 2j, abs),
    "fraction": kept(Fraction, lambda f: f + Fraction(1, 3)), "decimal": kept(Decimal, lambda d: d + Decimal("0.1")),
    "path": kept(lambda: Path("a"), lambda path: path / "b", lambda path: len(str(path))),
    "queue": kept(queue.Queue, lambda q: q.put(1) or q, queue.Queue.qsize),
    "seeds": kept(lambda: np.random.SeedSequence(1), lambda seeds: seeds.spawn(1) and seeds,
                  lambda seeds: seeds.spawn(1)[0].generate_state(1)[0])}
REFUSED = {
    "method": Behaves, "method of another": Follows, "reference": Refers, "method from nowhere": Appears,
    "class": Mode, "closure": Counts,
    "partial": kept(lambda: partial(int, "1"), lambda f: partial(int, "2"), lambda f: f()),
    "number of its own": kept(Speed, lambda speed: Speed(1)),
    "array of its own": kept(lambda: np.zeros(1).view(Vector), lambda x: x + 1, np.sum),
    "tensor": kept(lambda: torch.zeros(1), lambda x: x + 1),
    "date": kept(lambda: datetime(2026, 1, 1), lambda date: date + timedelta(1), datetime.toordinal),
    "masked array": kept(lambda: np.ma.zeros(1), lambda x: x + 1),
    "records": kept(lambda: np.zeros(1, "i8,i8"), lambda x: np.ones(1, "i8,i8"), lambda x: x[0][0])}


@pytest.mark.parametrize("saved_at", [80, 95])
@pytest.mark.parametrize("name", [*SAVED, *REFUSED])
def test_what_is_left_out_is_the_same_in_a_new_one_or_refused(name, saved_at):
    """Not before it has become another."""
    kind = (SAVED | REFUSED)[name]
    env, twin = kind(), kind()
    env.reset(seed=1)
    for _ in range(saved_at):
        env.step(0)
    if saved_at == 95 and name in REFUSED:
        with pytest.raises(CannotSave, match=r"which cannot be saved, and that of a new one is not the same"):
            attributes(env, twin, 1)
        return
    attributes(env, twin, 1)
    assert all(same(env.step(0)[0], twin.step(0)[0]) for _ in range(200))


def test_what_cannot_be_compared_stays_as_it_is():
    """Windows, locks, loggers and modules, wherever they come up."""
    env, twin = Bag(log=None, own=None, reset=lambda seed: None), Bag(log=None, own=logging.getLogger("a"))
    twin.reset = env.reset
    env.log, env.own, env.lock, env.module = logging.getLogger("b"), logging.getLogger("b"), threading.Lock(), np
    attributes(env, twin, 1)
    assert twin.own is logging.getLogger("a") and not hasattr(twin, "lock")


@pytest.mark.parametrize("kind", [Views, Deleted, Callback, Spawns, Aliased])
@pytest.mark.parametrize("saved_at", [80, 95])
def test_what_matters_late_comes_back_or_is_refused_where_it_is_saved(kind, saved_at):
    env, twin = kind(), kind()
    env.reset(seed=1)
    for _ in range(saved_at):
        env.step(0)
    try:
        attributes(env, twin, 1)
    except CannotSave:
        assert kind in (Views, Callback) or (kind, saved_at) == (Spawns, 95)
        return
    assert all(same(env.step(0)[0], twin.step(0)[0]) for _ in range(200))


@pytest.mark.parametrize("old, new, text", [
    (Bag(it=Bag()), Bag(it=None), r"env\.it was .*Bag and is .*NoneType in a new one"),
    (Bag(it=[Bag(), Bag()]), Bag(it=[Bag()]), r"env\.it\.1 was .*Bag and is nothing in a new one"),
    (Bag(it={Color.RED: 1}), Bag(it={Color.RED: 0}), r"env\.it\.key was .*Color and is nothing in a new one"),
    (Bag(it=[Point(1, 2)]), Bag(it=[]), r"env\.it\.0 was .*Point and is nothing in a new one"),
    (Bag(it=Counter("a")), Bag(it=None), r"env\.it was collections\.Counter and is builtins\.NoneType in a new one"),
    (Bag(it=Color.RED), Bag(it=0), r"env\.it was .*Color and is builtins\.int in a new one")])
def test_an_object_without_a_place_is_refused(old, new, text):
    with pytest.raises(ResumeError, match=text):
        through(old, new)


@pytest.mark.parametrize("a, b, equal", [
    (np.float32([np.nan, 0]), np.float32([np.nan, 0]), True), (np.array([0.0]), np.array([-0.0]), False),
    (np.float32(1), np.float64(1), False), (1.5, np.float64(1.5), True), (np.zeros(2), np.zeros((2, 1)), False),
    (np.zeros(2), np.zeros(2, np.int64), False),
    ({"a": (1, np.ones(2))}, {"a": (1, np.ones(2))}, True), ({"a": 1}, {"b": 1}, False), ((1, 2), (1, 2, 3), False),
    ("x", "x", True), (None, None, True), (2**70, 2**70, True), (1, True, False), ([1], (1,), False)])
def test_same(a, b, equal):
    assert same(a, b) is equal
