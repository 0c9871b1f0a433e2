"""A pipeline for some of its outputs."""

from orchestrator.core.pipelines import read_pipeline
from orchestrator.core.pipelines.narrowing import narrowed, without_step

PIPELINE = """
name: p
inputs: {files: {type: file, list: true, required: true}}
steps:
  - {id: speak, run: tts, foreach: "${{ steps.text.lines }}", with: {text: "${{ item }}"}}
  - {id: text, run: x, with: {all: ["${{ steps.read.text? }}", 1], name: "of ${{ steps.name.it }}"}}
  - {id: read, run: ocr, foreach: "${{ inputs.files }}", with: {image: "${{ item }}"}}
  - {id: name, run: y}
  - {id: other, run: z, with: {text: "${{ steps.read.text }}"}}
outputs:
  audio: "${{ steps.speak.audio }}"
  text: "${{ steps.text.text }}"
  more: "${{ steps.other.a }}"
"""


def test_steps_that_no_output_needs_are_left_out():
    declaration, _ = read_pipeline(PIPELINE.encode(), file="p.yaml", stem="p")
    found = narrowed(declaration, {"text"})
    assert [step.id for step in found.steps] == ["text", "read", "name"]
    assert list(found.outputs) == ["text"]
    assert narrowed(declaration, set(declaration.outputs)) == declaration


def test_a_step_is_left_out_with_what_refers_to_it():
    declaration, _ = read_pipeline(PIPELINE.encode(), file="p.yaml", stem="p")
    found = {step.id: step for step in without_step(declaration, "read").steps}
    assert list(found) == ["speak", "text", "name", "other"]
    assert found["text"].with_ == {"name": "of ${{ steps.name.it }}"}
    assert found["other"].with_ == {}
