"""YAML files and `section.key=value` -> layers of settings, sections of keys and values that are not checked yet.

They may come from strangers: nothing in them runs, explodes or is lost.
"""

from __future__ import annotations

from pathlib import Path

import yaml


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key given twice (one would be lost) and anchors (they can explode)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node:
        if self.check_event(yaml.AliasEvent):
            where = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "anchors are not used here", where)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", node.value[position][0].start_mark
                )
        return super().construct_mapping(node, deep)


def read_layer(path: Path) -> dict[str, dict]:
    """The sections of a YAML file, by name. Raises ValueError that names the file and what is wrong with it."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected a YAML file of settings, received a folder, pipe or device")
    try:
        layer = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)  # noqa: S506 (a safe loader)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; -c names a YAML file of settings such as config.yml") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a YAML file of settings: {' '.join(str(error).split())}") from None
    if layer is None:
        return {}
    if not isinstance(layer, dict) or not all(isinstance(section, dict) for section in layer.values()):
        raise ValueError(
            f"{path}: expected sections such as `train:` with indented `key: value` lines, received {layer!r:.80}"
        )
    return layer


def parse_assignment(text: str) -> dict[str, dict]:
    """`section.key=value`, as `--set` takes it, as a layer. Raises ValueError that names the text."""
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise ValueError(f"--set {text}: expected section.key=value, for example --set train.max_steps=500")
    try:
        return {section: {key: yaml.load(value, Loader=_Loader)}}  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"--set {text:.200}: {value!r:.80} is not a YAML value: {cause}") from None
