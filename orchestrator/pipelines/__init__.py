"""Pipelines and batches as they run: what is kept, what runs when, what is told of it.

What a pipeline means is worked out in `orchestrator.core.pipelines`; models are run by a session.
"""
