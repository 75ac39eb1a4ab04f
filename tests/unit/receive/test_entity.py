"""Who makes room at the door of the listener."""

from dataclasses import dataclass

from app.receive.entity import PATIENCE_S, to_make_room

NOW = 1000.0


@dataclass
class Caller:
    address: str
    since: float
    asked: bool = False
    sent_away: bool = False

    def send_away(self) -> None:
        self.sent_away = True


def test_the_oldest_of_the_address_with_most_goes() -> None:
    crowd = [Caller("10.0.0.9", NOW - age) for age in (20, 30, 10)]
    waiting = [Caller("10.0.0.1", NOW - 100), *crowd, Caller("10.0.0.1", NOW - 90)]
    assert to_make_room(waiting, NOW) is crowd[1]


def test_who_came_just_now_stays() -> None:
    waiting = [Caller("10.0.0.9", NOW - PATIENCE_S / 2) for _ in range(3)]
    assert to_make_room(waiting, NOW) is None
    patient = Caller("10.0.0.1", NOW - 2 * PATIENCE_S)
    assert to_make_room([*waiting, patient], NOW) is patient


def test_nobody_there_nobody_goes() -> None:
    assert to_make_room([], NOW) is None
