"""What LiveCodeBench is made of: its problems, the run of a program on tests, the comparison."""
