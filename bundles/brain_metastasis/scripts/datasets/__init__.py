"""Sets of MR heads with drawn metastases, as downloaded, into datalists of this bundle."""
