"""Says what it was given and which packages it sees."""


def load(context):
    import torch
    import transformers

    return transformers.__version__, torch.__version__


def run(model, job, *, text):
    transformers, torch = model
    return {"text": f"{text}: transformers {transformers}, torch {torch}"}
