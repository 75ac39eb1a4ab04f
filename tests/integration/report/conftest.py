from tests.integration.deliver.conftest import destination, orthanc

__all__ = ["destination", "orthanc"]
