"""Pipelines and batches as they run: what is kept, what runs when, what is reported.

What a pipeline means is worked out in `orchestrator.core.pipelines`; models are run by a session.
"""
