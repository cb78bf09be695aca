"""What is measured against what; run as `python -m benchmarks NAME --output json`."""
