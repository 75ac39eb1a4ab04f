"""A FHIR R4 server of the tests on loopback."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fhir.resources.R4B.bundle import Bundle
from pydantic import ValidationError

FHIR_JSON = "application/fhir+json"


@dataclass
class Store:
    """What the server holds, by type of resource."""

    port: int = 0
    resources: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def find(self, kind: str, condition: str) -> list[dict[str, Any]]:
        """Search by `identifier=system|value`."""
        system, value = condition.removeprefix("identifier=").split("|")
        wanted = {"system": system, "value": value}
        return [
            each
            for each in self.resources.get(kind, [])
            if any(wanted.items() <= identifier.items() for identifier in each.get("identifier", []))
        ]


def service(store: Store, secret: str = "") -> FastAPI:
    """FHIR R4 in what is needed here: transactions with conditional creates, validated by fhir.resources.

    Args:
        store: What it holds.
        secret: Its own words where a bundle is not valid.
    """
    app = FastAPI()

    def answer(status: int, content: dict[str, Any]) -> Response:
        return Response(json.dumps(content), status, media_type=FHIR_JSON)

    @app.get("/fhir/metadata")
    def metadata() -> Response:
        return answer(200, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})

    @app.post("/fhir")
    async def transaction(request: Request) -> Response:
        if request.headers["Content-Type"] != FHIR_JSON:
            return answer(415, {"resourceType": "OperationOutcome", "issue": []})
        try:
            bundle = Bundle.model_validate_json(await request.body())
        except ValidationError:
            issue = {"severity": "error", "code": "structure", "diagnostics": secret, "expression": ["Bundle.entry[0]"]}
            return answer(400, {"resourceType": "OperationOutcome", "issue": [issue]})
        assert bundle.type == "transaction"
        made = []
        for entry in bundle.entry:
            kind = entry.request.url
            there = store.find(kind, entry.request.ifNoneExist) if entry.request.ifNoneExist else []
            if not there:
                store.resources.setdefault(kind, []).append(json.loads(entry.resource.model_dump_json()))
            made.append({"response": {"status": "200 OK" if there else "201 Created"}})
        return answer(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": made})

    return app


@contextmanager
def serving(app: FastAPI, context: ssl.SSLContext | None = None) -> Iterator[int]:
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical")
    config.load()
    config.ssl = context
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=10)
