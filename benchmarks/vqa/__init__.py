"""The twelve VQA benchmarks: one module each, all on `benchmarks.vqa.base.benchmark`."""
