"""Sound files as the recogniser wants them: 16 kHz, one channel, a block at a time.

What a file is, its content says and never its name. FFmpeg, in the package `av`, decodes it; only
the formats below are tried, so that no playlist can name another file or an address.
"""

import contextlib

import numpy as np

RATE = 16_000
"""Samples a second that the model takes."""

FORMATS = "wav,w64,aiff,au,caf,mp3,flac,ogg,aac,mov,mp4,m4a,3gp,3g2,matroska,webm,asf,amr"

MOST_DAMAGED = 1000
"""Packets that cannot be decoded until the rest is given up."""


class Sound:
    """A sound file that is decoded as it is read.

    Attributes:
        announced: How long the file says it is, in seconds; 0 where it does not say.
        heard: How many seconds were decoded so far.
        damaged: How many packets could not be decoded.
    """

    def __init__(self, container, job):
        self.job = job
        self.packets = container.demux(container.streams.audio[0])
        self.announced = (container.duration or 0) / 1_000_000
        self.heard = 0.0
        self.damaged = 0

    @property
    def is_cut(self):
        """Whether the file holds less than it announces, which for some formats is an estimate."""
        return self.announced > 1 + 1.1 * self.heard

    def parts(self):
        """Yields float32 samples, a short piece at a time; rejects a file without any."""
        import av

        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in self._frames():
            if self.job.cancelled:
                return
            frame.pts = None  # gaps in the times of packets are no silence
            for resampled in resampler.resample(frame):
                yield self._samples(resampled)
        with contextlib.suppress(av.FFmpegError, ValueError):  # there was no frame
            for resampled in resampler.resample(None):
                yield self._samples(resampled)
        if not self.heard and not self.job.cancelled:
            self.job.reject("audio: the file holds no sound that can be decoded")

    def _samples(self, frame):
        samples = frame.to_ndarray().reshape(-1)
        self.heard += len(samples) / RATE
        # A float WAV may hold anything.
        return np.clip(np.nan_to_num(samples, nan=0, posinf=0, neginf=0), -1, 1)

    def _frames(self):
        while (frames := self._decoded()) is not None:
            yield from frames

    def _decoded(self):
        """Returns the frames of the next packet; None at the end."""
        import av

        try:
            return next(self.packets).decode()
        except (StopIteration, av.EOFError):
            return None
        except av.FFmpegError:
            self.damaged += 1
            return [] if self.damaged < MOST_DAMAGED else None


@contextlib.contextmanager
def opened(path, job):
    """Opens a sound file; rejects what is none.

    Yields:
        A `Sound`.
    """
    import av

    with path.open("rb") as stream, contextlib.ExitStack() as stack:
        try:
            container = stack.enter_context(
                av.open(
                    stream,
                    metadata_errors="ignore",
                    options={"format_whitelist": FORMATS, "protocol_whitelist": ""},
                )
            )
        except (av.FFmpegError, ValueError):
            job.reject(
                "audio: not a sound file, or not the whole of one; WAV, FLAC, MP3, OGG, Opus, M4A, "
                "MP4 and WebM can be read"
            )
        if not container.streams.audio:
            job.reject("audio: there is no sound in this file")
        yield Sound(container, job)
