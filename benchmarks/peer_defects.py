"""Which defects of TorchIO and MONAI are still there, and whether voxloom has any of them.

Both libraries do the same small piece of work, and the same rule judges what they did. The exit
code is 1 if voxloom breaks a rule.

Run: python benchmarks/peer_defects.py [--peers torchio] [--only WORD]
"""

from __future__ import annotations

import argparse
import sys

from measure import defects_monai, defects_patches, defects_queue, defects_state
from measure.defect import Defect, Seen, format_rows, look

DEFECTS = (
    *defects_patches.DEFECTS,
    *defects_queue.DEFECTS,
    *defects_state.DEFECTS,
    *defects_monai.DEFECTS,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", nargs="+", choices=["torchio", "monai"])
    parser.add_argument("--only", help="rules that contain these words")
    arguments = parser.parse_args()
    peers, words = arguments.peers or ["torchio", "monai"], arguments.only or ""
    asked = [one for one in DEFECTS if one.peer in peers and words in one.rule]
    if not asked:
        parser.error(f"no rule about {' or '.join(peers)} contains {words!r}")
    rows = [look_at_both(defect) for defect in asked]
    broken = [defect.rule for defect, ours, _ in rows if not ours.holds]
    mended = sum(theirs.holds for _, _, theirs in rows)
    print(format_rows(rows))
    print(
        f"\nOf {len(rows)} rules voxloom keeps {len(rows) - len(broken)}, the peers keep {mended}."
    )
    if broken:
        sys.exit("voxloom breaks: " + "; ".join(broken))


def look_at_both(defect: Defect) -> tuple[Defect, Seen, Seen]:
    ours, theirs = look(defect, "voxloom"), look(defect, defect.peer)
    print(
        f"  {defect.rule}: {ours.seconds:.1f} s, {theirs.seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    return defect, ours, theirs


if __name__ == "__main__":
    main()
