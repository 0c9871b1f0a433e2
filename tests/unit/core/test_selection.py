"""Which model stands for a task, and what the user is told about it."""

import msgspec
import pytest

from orchestrator.core.languages import wanted
from orchestrator.core.manifest import Environment, Input, Manifest, Output, Source
from orchestrator.core.selection import Facts, Selection, select, suits_best
from orchestrator.errors import MemoryRefused, SourceError, UsageError

GIB = 1024**3
EMBEDDED = Manifest(
    name="small",
    task="ocr",
    summary="Small",
    environment=Environment(python=">=3.10", dependencies=()),
    inputs={"image": Input(type="image", required=True)},
    outputs={"text": Output(type="text")},
    preference=10,
)
LARGE = msgspec.structs.replace(
    EMBEDDED,
    name="large",
    preference=20,
    source=Source(repo="a/b", revision="main"),
    devices=("cuda", "cpu"),
    memory={"cpu": {"float32": "21 GiB", "bfloat16": "8 GiB"}, "cuda": {"bfloat16": "9 GiB"}},
)


def chosen(*manifests, pulled=(), memory=None, platform="linux-x86_64", **others):
    facts = Facts(lambda each: each.name in pulled, memory or {"cpu": 16 * GIB}, platform)
    return select("ocr", manifests, facts, **others)


def renamed(manifest, name, **changes):
    return msgspec.structs.replace(manifest, name=name, **changes)


def test_one_model():
    assert chosen(EMBEDDED) == Selection("small", "ocr: small (the only one)")


def test_weights_that_are_missing_are_told_with_their_command():
    assert chosen(EMBEDDED, LARGE) == Selection(
        "small",
        "ocr: small (the only one that is ready; large needs its weights: mm model pull large)",
    )


def test_of_several_without_their_weights_the_best_alone_is_named():
    larger = renamed(LARGE, "larger", preference=LARGE.preference + 1)
    assert chosen(EMBEDDED, LARGE, larger).reason == (
        "ocr: small (the only one that is ready; larger needs its weights: mm model pull larger)"
    )


def test_the_highest_preference_wins_among_the_ready():
    assert chosen(EMBEDDED, LARGE, pulled={"large"}) == Selection(
        "large", "ocr: large (preferred to small)"
    )


@pytest.mark.parametrize(
    ("platform", "winner"),
    [("macos-arm64", "mac"), ("linux-x86_64", "large"), ("freebsd14-riscv64", "large")],
)
def test_the_preference_may_be_another_on_each_platform(platform, winner):
    mac = renamed(LARGE, "mac", preference={"default": 15, "macos-arm64": 30})
    loser = "large" if winner == "mac" else "mac"
    pulled = {"mac", "large"}
    assert chosen(EMBEDDED, LARGE, mac, pulled=pulled, platform=platform) == Selection(
        winner, f"ocr: {winner} (preferred on {platform} to {loser} and small)"
    )
    # Without its weights it is not taken, and the line says what brings them.
    selection = chosen(EMBEDDED, mac, platform=platform)
    assert selection.model == "small"
    assert "mac needs its weights: mm model pull mac" in selection.reason


def test_a_mapping_without_a_default_prefers_elsewhere_as_little_as_one_that_says_nothing():
    mac = renamed(EMBEDDED, "mac", preference={"macos-arm64": 30})
    assert (mac.preference_on("macos-arm64"), mac.preference_on("linux-x86_64")) == (30, 0)


def test_the_member_of_a_family_that_suits_a_machine_runs_on_it_weights_or_not():
    mac = renamed(
        LARGE, "mac", preference={"default": 15, "macos-arm64": 30}, devices=("mlx",), memory={}
    )

    def suits(platform, *devices):
        facts = Facts(lambda _: False, dict.fromkeys(devices), platform)
        best = suits_best([LARGE, mac], facts)
        return best and best.name

    assert suits("macos-arm64", "cpu", "mlx") == "mac"
    assert suits("macos-arm64", "cpu") == "large"
    assert suits("linux-x86_64", "cpu", "mlx") == "large"
    assert suits("linux-x86_64", "tpu") is None


def test_ties_go_by_name():
    other = renamed(EMBEDDED, "a-small")
    assert chosen(EMBEDDED, other).model == "a-small"


def test_a_model_that_does_not_fit_is_not_ready():
    selection = chosen(EMBEDDED, LARGE, pulled={"large"}, memory={"cpu": 4 * GIB})
    assert selection.model == "small"
    assert "large needs 8 GiB of memory and this machine has 4 GiB" in selection.reason


def test_the_smallest_data_type_decides():
    assert chosen(EMBEDDED, LARGE, pulled={"large"}, memory={"cpu": 8 * GIB}).model == "large"


@pytest.mark.parametrize("memory", [{"cpu": GIB, "cuda": None}, {"cpu": GIB, "cuda": 9 * GIB}])
def test_one_device_that_suffices_is_enough(memory):
    assert chosen(EMBEDDED, LARGE, pulled={"large"}, memory=memory).model == "large"


def test_a_device_that_is_not_there():
    gpu_only = renamed(LARGE, "gpu", devices=("cuda",))
    selection = chosen(EMBEDDED, gpu_only, pulled={"gpu"})
    assert selection.model == "small"
    assert "gpu runs on cuda, which this machine does not have" in selection.reason


def test_models_below_the_chosen_one_are_not_worth_a_word():
    low = renamed(LARGE, "low", preference=1)
    assert "low" not in chosen(EMBEDDED, low).reason


def test_the_users_choice_stands_ready_or_not():
    assert chosen(EMBEDDED, LARGE, chosen="large") == Selection(
        "large", "ocr: large (chosen with mm use)"
    )


def test_a_choice_that_is_gone_is_told():
    selection = chosen(EMBEDDED, chosen="gone")
    assert selection.model == "small"
    assert "gone, chosen with mm use, is not a model of this task" in selection.reason


def test_a_guest_never_wins_by_preference():
    guest = renamed(EMBEDDED, "guest", preference=99)
    assert chosen(EMBEDDED, guest, guests={"guest"}).model == "small"
    assert chosen(EMBEDDED, guest, guests={"guest"}, chosen="guest").model == "guest"
    assert chosen(LARGE, guest, guests={"guest"}, pulled={"large"}).model == "large"


def test_a_guest_wins_no_task_whose_other_models_are_not_ready():
    guest = renamed(EMBEDDED, "guest")
    with pytest.raises(SourceError):
        chosen(LARGE, guest, guests={"guest"})


def test_a_guest_stands_for_a_task_of_its_own():
    assert chosen(EMBEDDED, guests={"small"}).model == "small"


def test_nothing_is_ready_for_want_of_weights():
    with pytest.raises(SourceError) as caught:
        chosen(LARGE)
    assert str(caught.value) == (
        "no model of the task ocr is ready: large needs its weights; run: mm model pull large"
    )


def test_nothing_is_ready_for_want_of_memory():
    with pytest.raises(MemoryRefused, match="large needs 8 GiB of memory"):
        chosen(LARGE, memory={"cpu": GIB})


def test_nothing_is_ready_for_want_of_a_device():
    with pytest.raises(UsageError, match="gpu runs on cuda"):
        chosen(renamed(LARGE, "gpu", devices=("cuda",)))


ENGLISH = msgspec.structs.replace(
    EMBEDDED,
    name="english",
    task="tts",
    inputs={"text": Input(type="text", required=True)},
    languages=("en",),
)
BOTH = renamed(ENGLISH, "both", languages=("zh", "en"), preference=8)
MANY = renamed(
    ENGLISH,
    "many",
    languages=("zh", "en", "de", "ru"),
    preference=20,
    source=Source(repo="a/b", revision="main"),
    inputs={**ENGLISH.inputs, "language": Input(type="text")},
)


def spoken(text, *manifests, pulled=(), language=None, **others):
    facts = Facts(lambda each: each.name in pulled, {"cpu": 16 * GIB})
    asked = wanted({"text": text, "language": language})
    return select("tts", manifests or (ENGLISH, BOTH, MANY), facts, wanted=asked, **others)


NEEDS_WEIGHTS = "many needs its weights: mm model pull many"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hello", f"tts: english (preferred to both; {NEEDS_WEIGHTS})"),
        ("123", f"tts: english (preferred to both; {NEEDS_WEIGHTS})"),
        ("你好", f"tts for Chinese: both (the only one that is ready; {NEEDS_WEIGHTS})"),
        (
            "Price: 今天 hello",
            f"tts for Latin script and Chinese: both (preferred to english; {NEEDS_WEIGHTS})",
        ),
    ],
)
def test_the_text_decides_which_model_speaks(text, line):
    assert spoken(text).reason == line


def test_the_preferred_one_of_those_that_speak_as_much():
    assert spoken("你好", pulled={"many"}).model == "many"
    assert spoken("hello", pulled={"many"}).model == "many"
    assert spoken("今天 Привет", pulled={"many"}).model == "many"
    assert spoken("今天天气 привет").model == "both"
    assert spoken("Price: 今天 hello", ENGLISH, renamed(BOTH, "han", languages=("zh",))).reason == (
        "tts for Latin script and Chinese: english (the only one)"
    )


def test_a_model_that_lists_no_languages_is_taken_for_every_text():
    silent = renamed(ENGLISH, "silent", languages=(), preference=30)
    for text in ("hello", "你好", "สวัสดี"):
        assert spoken(text, silent, ENGLISH, BOTH).model == "silent"


def test_a_language_that_is_given_decides_among_those_that_take_one():
    assert spoken("hello", language="de", pulled={"many"}).model == "many"
    assert spoken("hello", language="german", pulled={"many"}).model == "many"
    with pytest.raises(SourceError, match="no model of the task tts that speaks de is ready: many"):
        spoken("hello", language="de")
    with pytest.raises(UsageError, match="no model of the task tts speaks fr, only de, en, ru, zh"):
        spoken("hello", language="fr")
    assert spoken("hello", ENGLISH, language="de").model == "english"  # it says so itself


def test_mm_use_wins_where_its_model_speaks_the_text():
    assert spoken("你好", chosen="many") == Selection("many", "tts: many (chosen with mm use)")
    assert spoken("Price: 今天 hello", chosen="english").model == "english"
    assert spoken("你好", chosen="english").reason == (
        f"tts for Chinese: both (the only one that is ready; {NEEDS_WEIGHTS}; "
        "english, chosen with mm use, does not speak Chinese)"
    )


def test_what_no_model_speaks_is_refused_with_the_command_that_brings_one():
    with pytest.raises(SourceError) as caught:
        spoken("Привет")
    assert str(caught.value) == (
        "no model of the task tts that speaks Cyrillic script is ready: many needs its weights; "
        "run: mm model pull many"
    )
    with pytest.raises(UsageError) as refused:
        spoken("สวัสดี hello")
    assert str(refused.value) == (
        "no model of the task tts speaks Thai script, only de, en, ru, zh; "
        "name a model of your own with --model, or write one: mm new NAME"
    )


def test_a_model_found_by_walking_up_speaks_only_what_no_other_does():
    guest = renamed(ENGLISH, "guest", languages=("th", "en", "zh"), preference=99)
    for text, model in (("hello", "english"), ("你好", "both"), ("สวัสดี ครับ", "guest")):
        assert spoken(text, ENGLISH, BOTH, guest, guests={"guest"}).model == model


def test_a_model_fits_whose_weights_are_there_in_a_small_data_type_alone():
    quantized = renamed(LARGE, "large", memory={"cpu": {"bfloat16": "8 GiB", "4bit": "3 GiB"}})
    whole = renamed(quantized, "large", memory={"cpu": {"bfloat16": "8 GiB"}})
    for here, fits in ((whole, False), (quantized, True)):
        facts = Facts(lambda _: True, {"cpu": 4 * GIB}, usable=lambda _, here=here: here)
        if fits:
            assert select("ocr", [quantized], facts).model == "large"
        else:
            with pytest.raises(MemoryRefused, match="needs 8 GiB"):
                select("ocr", [quantized], facts)
        # What could be pulled is another question.
        assert suits_best([quantized], facts) == quantized
