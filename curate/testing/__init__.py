"""Contract tests for plug-in authors: subclass one, give its fixtures, and pytest runs it.

    from curate.testing.layouts import LayoutContract

    class TestMyLayout(LayoutContract):
        @pytest.fixture
        def layout(self): return MyLayout
        @pytest.fixture
        def card(self): return CARD_AS_YAML
        @pytest.fixture
        def files(self): return {"labels.txt": b"...", "a.png": PNG}

`LayoutContract` stands in `layouts`, `TaskContract` in `tasks`, `RuleContract` in `rules`, `ExecutorContract` in
`executors`, `CompleterContract` in `completers`, and `ScriptedServer`, an OpenAI-compatible server whose answers a test
writes, in `scripted`. They need pytest and hypothesis, which curate itself does not install.
"""

from importlib.util import find_spec

_absent = [name for name in ("pytest", "hypothesis") if find_spec(name) is None]
if _absent:
    raise ImportError(f"curate.testing needs {' and '.join(_absent)}: install with `pip install {' '.join(_absent)}`")
