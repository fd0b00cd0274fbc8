"""Logs that other evaluation tools wrote, as run folders that every command takes.

To add a format, write one file with ``FORMAT = Format(title, detect, read)``:

1. ``detect(path)`` says of a file or folder, cheaply, whether it is such a log.
2. ``read(paths)`` yields a `Log` for each evaluation of a model: tool, version, model, seed, its
   configuration, and a `LoggedTask` per task.  A task's ``samples`` is called anew for each pass
   and yields one `LoggedSample` per answer; read large files line by line (`reading.json_lines`).
3. Raise `UsageError` (one line: which file, which line, what is wrong) for what cannot be read;
   put what is only worth knowing into ``notes``.  Leave empty what the log does not hold.

Then add its line to `formats.FORMATS`; a package of your own names its `Format` under the entry
points ``contextrl_harness.imports``.  Matching of items, scoring, scales and run folders are done
for all formats alike by `matching`, `scoring` and `folders`.
"""
