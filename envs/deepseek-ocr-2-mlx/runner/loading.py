"""A checkpoint as a model of MLX."""

import sys

from .checkpoint import load_model
from .precision import BITS, check_precision, computed
from .repairs import repair
from .writing import END


class Reader:
    """A loaded checkpoint.

    Args:
        directory: The checkpoint.
        dtype: The data type of the weights, or their bits.

    Attributes:
        model: The package's model.
        tokenizer: Its tokenizer.
        dtype: The data type, as MLX has it.
        watch: What follows the job that is running.
    """

    def __init__(self, directory, dtype):
        import mlx.core as mx
        from transformers import PreTrainedTokenizerFast

        check_precision(directory, dtype)
        check_dtype(dtype, sys.platform)
        # Made from its one file: what a class of the original's time is named may have changed.
        self.tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(directory / "tokenizer.json"), clean_up_tokenization_spaces=False
        )
        self.tokenizer.eos_token = self.tokenizer.convert_ids_to_tokens(END)
        self.dtype = getattr(mx, computed(dtype))
        self.watch = None
        self.model = loaded(directory, self.dtype)
        vision, language = self.model.vision_model.qwen2_encoder, self.model.language_model.model
        for part, name in ((self.model.sam_model, "blocks"), (vision, "layers")):
            part[name] = [Computed(each, self._step) for each in part[name]]
        language.layers = [Computed(each, self._check) for each in language.layers]

    def keep(self, name, value):
        """Take what a part of the model has computed; `trace` replaces this."""

    def _step(self):
        self.watch.step()

    def _check(self):
        self.watch.check()


class Computed:
    """A layer that is computed when it is called, and not when its result is looked at.

    Args:
        layer: The layer.
        before: Called first, so that a job that was cancelled ends there.
    """

    def __init__(self, layer, before):
        self._layer = layer
        self._before = before

    def __call__(self, values, *others, **named):
        """Return what the layer returns."""
        import mlx.core as mx

        self._before()
        returned = self._layer(values, *others, **named)
        if values.shape[1] > 1:  # not a single token, which is soon done
            mx.eval(returned)
        return returned


def check_dtype(dtype, platform):
    """Raise ValueError where MLX does not compute in a data type."""
    if platform != "darwin" and dtype not in ("float32", *BITS):
        # It would fail after minutes, at the first layer that has experts.
        raise ValueError(
            "MLX computes experts on a CPU in float32 alone: run it with --dtype float32"
        )


def loaded(directory, dtype):
    """Return the package's model.

    Raises:
        RuntimeError: When MLX does not find Apple's GPU on a Mac.
        ValueError: When the weights are not those of the model.
    """
    import mlx.core as mx

    if sys.platform == "darwin":
        if not mx.metal.is_available():
            raise RuntimeError("this MLX finds no Metal")
    else:
        mx.disable_compile()  # on a CPU it calls a C++ compiler

    repair()
    model = load_model(directory)
    model.set_dtype(dtype)
    mx.eval(model.parameters())
    return model
