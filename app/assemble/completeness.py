"""When a study counts as complete. Pure: the caller brings the clock."""

from app.study import Arrival


def is_complete(arrival: Arrival, idle_s: float, interrupted_s: float, cap_s: float, now: float) -> bool:
    """Tell whether a study may be taken up.

    Quiet for `idle_s` with no association open that sends it, and for `interrupted_s` too where the sender broke off;
    at the latest `cap_s` after its first image, so that an association that never closes cannot hold a study for ever.

    Args:
        arrival: What the spool knows.
        idle_s: Quiet time of the route, seconds.
        interrupted_s: How long a sender that broke off has to come back and finish, seconds since the last image.
        cap_s: Longest wait since the first image, seconds. Counted in either direction: a clock that was set back by
            more than this must not hold the study until it has caught up.
        now: Unix time, from the clock that stamped the arrival.
    """
    if abs(now - arrival.first_received) >= cap_s:
        return True
    quiet_s = max(idle_s, interrupted_s) if arrival.interrupted else idle_s
    return arrival.open_associations == 0 and now - arrival.last_received >= quiet_s
