"""The largest of the values of the last while."""

from __future__ import annotations

from streamtag.core.lately import WorstLately


def test_the_worst_is_known_for_a_while_and_then_forgotten() -> None:
    lately = WorstLately(5.0)
    assert lately.worst(100.0) == 0.0
    lately.see(0.3, 100.0)
    lately.see(2.0, 101.0)
    lately.see(0.1, 104.0)
    assert lately.worst(104.5) == 2.0
    assert lately.worst(105.5) == 2.0
    lately.see(0.2, 106.0)
    assert lately.worst(110.9) == 0.2
    assert lately.worst(130.0) == 0.0
