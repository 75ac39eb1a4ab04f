"""/upload: images by drag and drop, for operators; what it sends goes through the API like any other upload."""

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from app.settings import Settings
from app.web.login import CurrentVisitor
from app.web.templating import page
from app.web.uploads import MEGABYTE
from app.web.witness import Witness


def add_upload_page(app: FastAPI, settings: Settings, witness: Witness) -> None:
    """Add the route."""

    @app.get("/upload", include_in_schema=False)
    def show_upload(request: Request, visitor: CurrentVisitor) -> HTMLResponse:
        options = settings.uploads
        return page(
            request,
            "upload.html",
            witness.reader(visitor),
            max_file=options.max_file_mb * MEGABYTE,
            max_zip=options.max_zip_mb * MEGABYTE,
            max_files=options.max_files,
        )
