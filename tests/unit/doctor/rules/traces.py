# ruff: noqa: RUF001 - the installer writes so
"""Traces as people meet them, one for each known failure: written for the tests, not collected."""

HEAD = """\
Traceback (most recent call last):
  File "/home/a/run.py", line 12, in <module>
    result = model.infer(tokenizer, prompt=prompt, image_file=image)
  File "/home/a/.cache/huggingface/modules/transformers_modules/model/modeling_x.py", line 71, in f
    return self.part(x)
           ^^^^^^^^^^^^
"""


def ending(*lines):
    return HEAD + "\n".join(lines) + "\n"


TRACES = {
    "input-and-weight-dtypes": ending(
        '  File "/env/lib/python3.12/site-packages/torch/nn/modules/conv.py", line 549, in _conv',
        "    return F.conv2d(",
        "RuntimeError: Input type (c10::BFloat16) and bias type (float) should be the same",
    ),
    "matrix-dtypes": ending(
        "RuntimeError: mat1 and mat2 must have the same dtype, but got BFloat16 and Float"
    ),
    "scatter-dtypes": ending(
        "RuntimeError: masked_scatter_: expected self and source to have same dtypes but got "
        "Float and BFloat16"
    ),
    "half-on-cpu": ending("RuntimeError: \"slow_conv2d_cpu\" not implemented for 'Half'"),
    "dtype-on-mps": ending("TypeError: BFloat16 is not supported on MPS"),
    "cuda-assumed": ending("AssertionError: Torch not compiled with CUDA enabled"),
    "cuda-driver-too-old": ending(
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please "
        "update your GPU driver by downloading and installing a new version."
    ),
    "no-kernel-image": ending(
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        "CUDA kernel errors might be asynchronously reported at some other API call.",
    ),
    "devices-differ": ending(
        "RuntimeError: Expected all tensors to be on the same device, but found at least two "
        "devices, cuda:0 and cpu! (when checking argument for argument mat1 in method "
        "wrapper_CUDA_addmm)"
    ),
    "name-gone-from-transformers": ending(
        "ImportError: cannot import name 'LlamaFlashAttention2' from "
        "'transformers.models.llama.modeling_llama' (/env/lib/python3.12/site-packages/"
        "transformers/models/llama/modeling_llama.py)"
    ),
    "module-gone-from-transformers": ending(
        "ModuleNotFoundError: No module named 'transformers.deepspeed'"
    ),
    "cache-methods-gone": ending(
        "    past_length = past_key_values.seen_tokens",
        "AttributeError: 'DynamicCache' object has no attribute 'seen_tokens'",
    ),
    "method-gone-from-transformers": ending(
        "AttributeError: 'ChatGLMForConditionalGeneration' object has no attribute "
        "'_extract_past_from_model_output'"
    ),
    "generate-gone": ending(
        "AttributeError: 'DeepseekV2ForCausalLM' object has no attribute 'generate'"
    ),
    "too-new-for-transformers": ending(
        "ValueError: The checkpoint you are trying to load has model type `qwen3_tts` but "
        "Transformers does not recognize this architecture. This could be because of an issue "
        "with the checkpoint, or because your version of Transformers is out of date."
    ),
    "remote-code-not-trusted": ending(
        "ValueError: Loading /models/x requires you to execute the configuration file in that "
        "repo on your local machine. Make sure you have read the code there to avoid malicious "
        "use, then set the option `trust_remote_code=True` to remove this error."
    ),
    "remote-code-packages": ending(
        "ImportError: This modeling file requires the following packages that were not found in "
        "your environment: addict, easydict. Run `pip install addict easydict`"
    ),
    "flash-attention-missing": ending(
        "ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the "
        "following error: the package flash_attn seems to be not installed."
    ),
    "sdpa-unsupported": ending(
        "ValueError: DeepseekV2ForCausalLM does not support an attention implementation through "
        "torch.nn.functional.scaled_dot_product_attention yet."
    ),
    "quantisation-needs-cuda": ending(
        "RuntimeError: No GPU found. A GPU is needed for quantization."
    ),
    "wheels-missing": (
        "error: No solution found when resolving dependencies\n"
        "  cause: Because scikit-learn==1.3.2 has no wheels with a matching Python ABI tag (e.g., "
        "`cp313`) and you require scikit-learn==1.3.2, we can conclude that your requirements are "
        "unsatisfiable.\n"
    ),
    "contradicting-pins": (
        "  × No solution found when resolving dependencies:\n"
        "  ╰─▶ Because qwen-tts==0.1.1 depends on transformers==4.57.3 and you require\n"
        "      transformers==4.46.3, we can conclude that your requirements are unsatisfiable.\n"
    ),
    "stale-module-cache": ending(
        "AttributeError: module 'transformers_modules.model.modeling_x' has no attribute "
        "'DeepseekOCR2ForCausalLM'"
    ),
    "config-dtype-unknown": ending(
        "AttributeError: module 'torch' has no attribute 'float8_e8m0fnu'"
    ),
    "out-of-memory-cuda": ending(
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.21 GiB. GPU 0 has a "
        "total capacity of 7.79 GiB of which 1.02 GiB is free."
    ),
    "out-of-memory-mps": ending(
        "RuntimeError: MPS backend out of memory (MPS allocated: 17.93 GB, other allocations: "
        "1.10 MB, max allowed: 18.13 GB). Tried to allocate 250.00 MB on private pool."
    ),
    "out-of-memory": ending(
        "RuntimeError: [enforce fail at alloc_cpu.cpp:114] err == 0. DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 6442450944 bytes. Error code 12 (Cannot allocate "
        "memory)"
    ),
    "torch-builds-differ": ending("RuntimeError: operator torchvision::nms does not exist"),
    "numpy-abi": ending(
        "ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 "
        "from C header, got 88 from PyObject"
    ),
    "shared-library-missing": ending(
        "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
    ),
    "library-missing-macos": ending(
        "ImportError: dlopen(/env/x.so, 0x0002): Library not loaded: @rpath/libomp.dylib",
        "  Referenced from: /env/x.so",
    ),
    "glibc-too-old": ending(
        "ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found "
        "(required by /env/lib/python3.12/site-packages/x.so)"
    ),
    "illegal-instruction": "the worker of x was ended by signal 4 (SIGILL)\n",
    "hub-offline": ending(
        "OSError: We couldn't connect to 'the hub' to load this file, couldn't find it in the "
        "cached files and it looks like openai/clip is not the path to a directory containing a "
        "file named config.json."
    ),
    "gated-repository": ending(
        "OSError: You are trying to access a gated repo.",
        "Make sure to have access to it.",
    ),
    "weights-damaged": ending(
        "safetensors_rust.SafetensorError: Error while deserializing header: "
        "MetadataIncompleteBuffer"
    ),
    "weights-missing": ending(
        "OSError: Error no file named model.safetensors found in directory /models/x."
    ),
    "weights-do-not-fit": ending(
        "RuntimeError: Error(s) in loading state_dict for Embedding:",
        "\tsize mismatch for weight: copying a param with shape torch.Size([32, 16]) from "
        "checkpoint, the shape in current model is torch.Size([33, 16]).",
    ),
    "torch-load-refused": ending(
        "ValueError: Due to a serious vulnerability issue in `torch.load`, even with "
        "`weights_only=True`, we now require users to upgrade torch to at least v2.6"
    ),
    "interpreter-too-old": ending(
        "TypeError: unsupported operand type(s) for |: 'type' and 'NoneType'"
    ),
    "interpreter-too-new": ending("ModuleNotFoundError: No module named 'distutils'"),
    "tokenizer-conversion": ending(
        "ValueError: Couldn't instantiate the backend tokenizer from one of: ",
        "(1) a `tokenizers` library serialization file, ",
    ),
    "tied-weights-list": ending(
        '  File "/env/lib/python3.12/site-packages/transformers/modeling_utils.py", line 2, in t',
        "    for name in self._tied_weights_keys.keys():",
        "AttributeError: 'list' object has no attribute 'keys'",
    ),
    "sox-missing": "/bin/sh: 1: sox: not found\n",
    "module-missing": ending("ModuleNotFoundError: No module named 'einops'"),
}
