"""Documents out of the house, to the destinations in the settings, and the means to test them."""

from app.deliver.dimse import Sender
from app.deliver.folder import Sent, send_folder
from app.deliver.ways import deliver, deliver_all, echo, reachable

__all__ = ["Sender", "Sent", "deliver", "deliver_all", "echo", "reachable", "send_folder"]
