"""Complete examples for CONTRIBUTING.md; the tests run them."""
