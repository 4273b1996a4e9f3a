"""TensorBoard events, written at once: what the disk refuses is an error of the writer's own.

(``torch.utils.tensorboard`` writes in a thread, where a full disk ends in a traceback, and takes a
second to import.)
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_numbers = itertools.count()


class Events:
    """A new event file in ``folder``; one of an interrupted run before stays.

    Args:
        purge: the first step of all that TensorBoard hides of earlier files; None: nothing.

    Raises:
        OSError: from every method: it can't be written.
    """

    def __init__(self, folder: Path, purge: int | None = None) -> None:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event: Any = event_pb2.Event
        host, process = socket.gethostname(), os.getpid()
        name = f"events.out.tfevents.{int(time.time()):010}.{host}.{process}.{next(_numbers)}"
        self._file = (folder / name).open("wb")
        self._writer = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        if purge is not None:
            session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step=purge, session_log=session)

    def add(self, values: dict[str, float], step: int) -> None:
        """Numbers by their tags, of one step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step=step, summary=Summary(value=points))

    def add_picture(self, tag: str, data: bytes, size: tuple[int, int], step: int) -> None:
        """A PNG or GIF of ``size`` (width, height)."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = size
        image = Summary.Image(encoded_image_string=data, width=width, height=height, colorspace=3)
        self._write(step=step, summary=Summary(value=[Summary.Value(tag=tag, image=image)]))

    def add_parameters(
        self, parameters: Mapping[str, str | int | float | bool], results: Mapping[str, float]
    ) -> None:
        """Hyper-parameters and what came of them, for the HParams tab."""
        from tensorboard.plugins.hparams import summary_v2

        metrics = [summary_v2.Metric(name) for name in results]
        domains = [summary_v2.HParam(name) for name in parameters]
        self._write(summary=summary_v2.hparams_config_pb(hparams=domains, metrics=metrics))
        self._write(summary=summary_v2.hparams_pb(dict(parameters)))
        self.add(dict(results), 0)

    def _write(self, **parts: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **parts).SerializeToString())
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
