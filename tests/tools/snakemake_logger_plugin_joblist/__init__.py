"""A logger of Snakemake's that writes each job that is told of as a line of JSON.

snakemake --dry-run --logger joblist --logger-joblist-file FILE, with tests/tools in PYTHONPATH
"""

import json
import logging
from dataclasses import dataclass, field
from typing import Optional  # the plugin interface knows no other form of it

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Where the lines go."""

    file: Optional[str] = field(default=None, metadata={"help": "the file", "required": True})  # noqa: UP045


class LogHandler(LogHandlerBase):
    """Keys of a line: rule, wildcards, output (the benchmark's file too), threads, resources (whole
    numbers alone).
    """

    writes_to_stream = False
    writes_to_file = False  # to Snakemake that means its own file handler
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, where the record is of a job."""
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        resources = {k: v for k, v in record.resources.items() if isinstance(v, int)}
        job = {
            "rule": record.rule_name,
            "wildcards": dict(record.wildcards or {}),
            "output": [str(path) for path in [*record.output, record.benchmark] if path],
            "threads": record.threads,
            "resources": resources,
        }
        with open(self.settings.file, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps(job) + "\n")
