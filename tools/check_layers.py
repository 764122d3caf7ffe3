#!/usr/bin/env python3
"""Fails when a source file includes a module that layers.txt does not allow it."""

import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_0-9]+)/', re.MULTILINE)


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    allowed: dict[str, set[str]] = {}
    for line in (root / "layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        module, _, rest = line.partition(":")
        later = set(rest.split()) - set(allowed)
        if later:
            print(f"layers.txt: {module} names {sorted(later)} before they are listed: the order must be bottom-up")
            return 1
        allowed[module] = set(rest.split()) | {module}

    problems = []
    files = [p for p in (root / "src").rglob("*") if p.suffix in {".h", ".cc", ".cu", ".inc"}]
    for path in files:
        module = path.relative_to(root / "src").parts[0]
        if module not in allowed:
            problems.append(f"{path}: the folder src/{module} is not in layers.txt")
            continue
        for target in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if (root / "src" / target).is_dir() and target not in allowed[module]:
                problems.append(f"{path}: {module} may not include {target}/")
    print("\n".join(problems) if problems else f"layers hold in {len(files)} files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
