"""oneDNN off for the codec."""


def without_onednn(call):
    """Returns `call` with oneDNN off while it runs.

    On a CPU, oneDNN of torch 2.6 builds new kernels for every new length of sound, which takes the
    codec seconds to minutes; without it, it is as fast as with kernels that are there.
    """
    from torch.backends import mkldnn

    def called(*arguments, **keywords):
        with mkldnn.flags(enabled=False):
            return call(*arguments, **keywords)

    return called
