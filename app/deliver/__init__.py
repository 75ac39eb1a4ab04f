"""Documents out of the house: C-STORE to the destinations in the settings, and the means to test them."""

from app.deliver.dimse import Sender, deliver, deliver_all
from app.deliver.echo import echo, reachable
from app.deliver.folder import Sent, send_folder

__all__ = ["Sender", "Sent", "deliver", "deliver_all", "echo", "reachable", "send_folder"]
