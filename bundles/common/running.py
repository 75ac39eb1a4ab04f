"""What configurations of every bundle need of the command line."""


def flag(value: bool | str | int) -> bool:
    """A switch as the command line gives it: `--compile true` arrives as text.

    Raises:
        ValueError: Neither true nor false.
    """
    words = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError(f"expected true or false, got {value!r}")
    return words[str(value).lower()]
