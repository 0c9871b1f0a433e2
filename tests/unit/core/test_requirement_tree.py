from orchestrator.core.lockfile import MANIFEST, Pin
from orchestrator.core.requirement_tree import chain, differences, tree

PINS = (
    Pin("numpy", "2", via=("torch", "transformers")),
    Pin("tokenizers", "0.20", via=("transformers",)),
    Pin("torch", "2.6", via=(MANIFEST,)),
    Pin("transformers", "4.46", via=(MANIFEST,)),
)


def test_a_tree_shows_each_branch_once():
    lines = [(branch.depth, branch.pin.name, branch.seen) for branch in tree(PINS)]
    assert lines == [
        (0, "torch", False),
        (1, "numpy", False),
        (0, "transformers", False),
        (1, "numpy", False),
        (1, "tokenizers", False),
    ]


def test_a_package_with_branches_is_marked_the_second_time():
    pins = (*PINS, Pin("six", "1", via=("numpy",)))
    marked = [branch.pin.name for branch in tree(pins) if branch.seen]
    assert marked == ["numpy"]


def test_packages_that_need_each_other_end():
    pins = (Pin("a", "1", via=(MANIFEST, "b")), Pin("b", "1", via=("a",)))
    assert [(one.depth, one.pin.name, one.seen) for one in tree(pins)] == [
        (0, "a", False),
        (1, "b", False),
        (2, "a", True),
    ]


def test_the_chain_is_the_shortest_way_from_the_manifest():
    assert [pin.name for pin in chain(PINS, "numpy")] == ["torch", "numpy"]
    assert [pin.name for pin in chain(PINS, "torch")] == ["torch"]
    assert chain(PINS, "absent") == ()


def test_differences_are_versions_that_both_have():
    other = (
        Pin("tokenizers", "0.22", via=("transformers",)),
        Pin("torch", "2.6", via=(MANIFEST,)),
        Pin("transformers", "4.57", via=(MANIFEST,)),
        Pin("accelerate", "1", via=(MANIFEST,)),
    )
    found = differences(PINS, other)
    assert [one.name for one in found] == ["tokenizers", "transformers"]
    assert [pin.version for pin in found[0].first] == ["4.46", "0.20"]
    assert [pin.version for pin in found[0].second] == ["4.57", "0.22"]
