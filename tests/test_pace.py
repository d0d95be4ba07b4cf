"""Rates and times, on hand-made samples."""

import pytest

from lab.pace import Pace, Sample, clock, number


def test_the_rate_is_that_of_the_last_ten_seconds():
    pace = Pace()
    for second in range(21):                  # 10 a second, then 100 a second
        pace.add(Sample(second, 10 * second if second <= 10 else 100 + 100 * (second - 10), second / 100))
    assert pace.rate == 100 and pace.speed == pytest.approx(0.01)


def test_an_hour_in_which_the_process_was_stopped_does_not_count():
    pace = Pace()
    pace.add(Sample(0.0, 0, 0.0))
    pace.add(Sample(1.0, 100, 0.1))
    pace.add(Sample(3601.0, 110, 0.11))
    assert pace.rate == 100
    pace.add(Sample(3602.0, 190, 0.19))
    assert pace.rate == 80 and pace.speed == pytest.approx(0.08)


def test_one_sample_is_no_rate():
    pace = Pace()
    pace.add(Sample(5.0, 100, 0.5))
    assert pace.rate is None and pace.speed is None


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (0.12345, "0.123"), (12.34, "12.3"), (99.96, "100"), (999.7, "1,000"), (8100.4, "8,100"),
    (-1234.0, "-1,234"), (1e-5, "1e-05"), (1e20, "1e+20"), (float("nan"), "nan"), (float("inf"), "inf")])
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (3.2, "0:04"), (754, "12:34"), (3723, "1:02:03")])
def test_times_read_as_on_a_clock(seconds, text):
    assert clock(seconds) == text
