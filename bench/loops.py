"""Videos cut or looped to a length, packet by packet, so that nothing is encoded anew."""

from fractions import Fraction
from pathlib import Path

import av

from trackssl.errors import InputError


def write_loop(source: Path, out: Path, seconds: float) -> Path:
    """The first so many seconds of a video's pictures, which begin again when they are over.

    Raises InputError when there are none.
    """
    with av.open(source) as read, av.open(out, "w") as write:
        picture = read.streams.video[0]
        copy = write.add_stream_from_template(picture)
        base = picture.time_base or Fraction(1, 25)
        wanted, done, begin = int(seconds / base), 0, picture.start_time or 0
        while done < wanted:
            length = 0
            read.seek(0)
            for packet in read.demux(picture):
                if packet.pts is None or packet.dts is None:
                    continue
                shown = packet.pts - begin
                length = max(length, shown + (packet.duration or 1))
                if done + packet.dts - begin >= wanted:
                    break
                packet.pts, packet.dts = done + shown, done + packet.dts - begin
                packet.stream = copy
                write.mux(packet)
            if not length:
                raise InputError(f"{source}: it holds no pictures with times; name another video.")
            done += length
    return out
