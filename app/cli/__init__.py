"""What the commands do, one theme a module; `app/__main__.py` names them."""
