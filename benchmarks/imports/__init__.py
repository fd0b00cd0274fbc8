"""Import logs of other evaluation tools as run folders that every command accepts.

To add a format, write one file with ``FORMAT = Format(title, detect, read)``:

1. ``detect(path)`` says cheaply whether a file or folder is such a log.
2. ``read(paths)`` yields a `Log` per evaluation of a model: tool, version, model, seed, its
   configuration, and a `LoggedTask` per task. A task's ``samples`` is called once per pass
   and yields one `LoggedSample` per answer; read large files line by line (`reading.json_lines`).
3. Raise `UsageError` (one line: which file, which line, what is wrong) for unreadable input; put
   other remarks into ``notes``. Leave empty what the log does not hold.

Then add its line to `formats.FORMATS`; a package of your own names its `Format` under the entry
points ``contextrl_harness.imports``. Item matching, scoring, scales and run folders are the same
for all formats: `matching`, `scoring` and `folders`.
"""
