"""Tests of importing logs of other tools, on logs that those tools wrote."""
