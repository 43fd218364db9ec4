"""W2S (Zhou et al. 2020) is known again by what its images show; its official split, and fields that overlap."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

NAME = re.compile(r"(\d{3})_(\d)")  # field of view and channel
# The same field, or overlapping ones, under two numbers: one side of a split holds them all.
OVERLAPS = (
    (36, 37), (33, 34), (12, 13), (50, 54), (52, 56), (53, 57), (69, 74), (31, 32), (77, 79), (42, 78),
)  # fmt: skip
LAST_TRAINING = 80  # the official split: fields 1 to 80 to learn from, 81 to 120 to test on
TEST = range(81, 101)  # those of the test fields that the published results are of

SQUARES = 8  # along a side: which of 8x8 squares of an image are brighter than their median
LOOKED_AT = 8  # images of a folder, spread over it
NEAR = 6  # of the 64 squares may differ: between a frame and its ground truth it is at most 4
NEARER = 4  # of any of 300 images


Reader = Callable[[str], NDArray[np.generic]]  # gives an image (Y, X) by its name


def is_w2s(names: Iterable[str], read: Reader) -> bool:
    """Whether images named like those of W2S are its images: at least half of some that are looked at.

    Parameters
    ----------
    names : iterable of str
        All names of a folder.
    read : callable
        Gives the image (Y, X) of a name, noisy or not; what raises ValueError is passed over.
    """
    known = {name: shows for name in sorted(names) if (shows := _known(name)) is not None}
    looked_at = same = 0
    for name in list(known)[:: max(1, len(known) // LOOKED_AT)][:LOOKED_AT]:
        try:
            image = read(name)
        except ValueError:
            continue
        looked_at += 1
        same += min(image.shape) >= SQUARES and (_brighter(image) ^ known[name]).bit_count() <= NEAR
    return 0 < looked_at <= 2 * same


def are_shown(images: Iterable[NDArray[np.generic]]) -> bool:
    """Whether at least half of some images, whatever they are called, show what W2S's do."""
    every = [int(mark, 16) for line in SHOWN for mark in line]
    marks = [_brighter(image) for image in images if min(image.shape) >= SQUARES]
    same = sum(min((mark ^ one).bit_count() for one in every) <= NEARER for mark in marks)
    return 0 < len(marks) <= 2 * same


def _known(name: str) -> int | None:
    """What `_brighter` gives of the ground truth of a name; of the fields 1 to 100."""
    if (found := NAME.fullmatch(name)) is None:
        return None
    field, channel = int(found[1]), int(found[2])
    inside = 1 <= field <= len(SHOWN) and channel < len(SHOWN[0])
    return int(SHOWN[field - 1][channel], 16) if inside else None


def _brighter(image: NDArray[np.generic]) -> int:
    """Which squares of an image (Y, X) are brighter than their median, a bit each, row by row."""
    y, x = (side // SQUARES for side in image.shape)
    squares = image[: SQUARES * y, : SQUARES * x].astype(np.float64).reshape(SQUARES, y, SQUARES, x).mean(axis=(1, 3))
    return int("".join("01"[int(square > np.median(squares))] for square in squares.ravel()), 2)


# Of each field, from 1 on, what its three channels show.
SHOWN = [
    line.split()
    for line in """\
00e0f8fffdfe8200 00c0f8fefcffc600 80e0f8fcfefce200
003ffffefcf08000 033f7ffefcf00000 013f7ffffcf00000
e0f2fafefcf80000 00f0f8fcfcf8e830 00c0f9e71e3cf8f8
00e0f8787c3f1f0f 60f0f0f83c1e1f0f 60b0b8fc3c1e1f0f
707c3e1f0f0f0707 707c3e1f1f0f0703 f06c3e1f1f0f0703
6060e0f0f0f8fafa 0070e078f8f8fcfc 001038787c7cfefb
0090fffe723b191a 00c8fcfe7c3e181e 80f800d87c3f3f1f
2c3838387c7c7c7c 0018787c7c7c7c7e 044062627e7e7e7e
72f6fefcecc60000 7e7efc7e7c460000 7e7efd35317d0000
e8e9cdcece9c9810 c0c1c9cfce8e9c9c ecfeefef08828084
041e3f7f7e3c3810 001f7f3f3e3e3810 001e7f7f3e7e3010
181011333f3ff763 1010183c3f3ffc7d 10181c3c3b2bfc7f
30787c301a3c7f1f 00f0f0f8f8f4e83e 842232f2f8e0e1ff
7f7e7c7870706060 7f7e7c7870706060 fd7e7c7870706060
c0f0fcfe7e0f0301 c0f8fcfe3f0f0300 80e8fcff3f0f0301
00061e3e7e7cfce8 0000387e7cfefcf8 001e6371f9b87cf8
0000e0ff7f1f0f1f 0000e0fe7f7f0f0f 0000007f7f7f3f1f
030f1b1e1e2e7c7c 00081c7c7cfcfcfc 0c183c787c3c7cfc
e0f0f0f8f8783c1c e0e0f0f8f8f83c1c f0f0f8f8e87c141c
0103207e7e3e3cfe 0000e0fc7c7cfcfe 000283911d3f7fff
000d1a0e0efcfff9 000888d8dcfcfcff 00fc00009cfefeff
00002030fcfffffe 0000e0f8fcfcfcfc 00000878f8fefeff
0000065efefefcf8 000048fcfcfcfcfc 008078f8f8f8fcfc
0c0c1e1f1e1e1f3f 081c1e1e1e1f1f3f 0c0c0e1f1f1f1f1f
3f7e7ff70e060200 3f7ffffe9c000000 2f4f0f3ffd3c0400
01071f7fffff0000 01071f7fffff0000 00071f7fffff0400
003fffff1f070300 10ffff7f0f070100 00ffff7f0f070300
40607070787c7f7f 406070787c7c7e7e 2080d0787c7e7c7f
f8f8f8f878783030 f8f8f8f878783030 f8f8f8f878787800
1c1c1f1c3c3c3e3e 181e1d1e3c3c3c7e 061e1c1c3c7c7c7e
f0f8fc7cfcf0c000 f0f0f8f8fcf0e008 ece6f2f2f0dc3020
7020181afaf8fafc 0080c8f8f8fcfcfc 0000b89c9cfafcff
3c7c7cf4f4cce080 1c187cfcfcfce080 0c7c7c7cfcfce000
3c7c7cf4f4cce080 1c387cf4fcfce080 0c7c7c7cfcfce000
80e0f07c7f3f0f06 80c0f0fc3f1f0f0f 80c0f0fc7f1f0f0e
0c1c227a7ef7fe00 001c3e3e7efefc00 02123f7f7f7c3c00
0c1c227a7ef7fe00 081c3e3e7cfefc00 02123f7f7f7c3c00
00303c3f3c7c7e2f 00001c3f3f3f3f1f 00404047dfff6f4f
03071f1f3f3f1303 013b3f3f3f1f0301 10212163435f7f7f
78f0f8fa7c7c1c00 f0f8fc7e3c4c048c c6868787c6e672b8
07070f1f3f7ff000 07070f1f3f7f7800 0c0d1f1f3f7f7800
00183d3e3e3e3e7c 04183c7efcdcbc1c 1c1e3c7c1c38f1f1
1c0400017fffffe1 3e7000003ffffce1 eef000003cfefee1
c0f0f8fcfcfc8c00 c0e0f8f8fcfcf800 1898cccece86fe1c
070f1f1f1f3e7600 070f0f1f3e7e7c00 0b1b17367078fc3c
c0c0e0feffff0300 c0c0f8fcffff0100 e0e0f4f8fdfd0300
00383c3e3f1f1f0f 00787c3e1f1f0f0f 00383c3f3f1f0f0f
0040787cfcfcfc78 0020787cfcfcfc78 0000787efcfcfc78
00081e1e3f7efcf8 00081e1e3e7ffcf8 000816173f7ffcf8
181c183c3c7cfcfc 18181c3c3c7cfcfc 10143c3c7c7cfcbc
fe7e3c1c1c1c1c1c fe7e3c3c1c1c1c18 7e6e2e2e3c1c1c19
00183f2f7fdf3d00 0000093f3fff7d3c 08183e7fff271f00
f8f8fcfe1f070100 f8f8fcfe7f030000 f4fefefb3b020000
0e0c1c1e1e1e7ebe 0c0c1c1e3e3e7e3e 08161e3e2e5e5e1f
1f1f0f1f1f3d0c04 0f0f0f1f1f3f0e04 0f1f1f1f3f1f0a00
0f3f2fff9f1c0000 00073fff7f3e1c00 1e3f7ffb7f080000
f8fcd8d81cdc1903 e0f8f8f8fcf0f000 00f0fafafefd0804
7f3f3f1f1e1e0000 3f3f3e3e3e3e0000 3f3f3f3e3e1e0000
00000f1f3f3f3f1f 0000087f3f7f3f1f 00001c3f3f3f3f1f
c4fcf0e0f0f0f0f0 10f9f1f0f0f0f0f0 80fbf1f0f0f0f0e0
004070fefcf8f8f8 0000f0f8fcfcf8fc 00106cf8f8f8fcfc
0080f0f0fcfefee0 0080f0f8f8fcf8fc 0088e4f4faf8f8f8
1f3e3c7c7cf0c0c0 1e3e3c7cfce0e0c0 1e3e3c7cfcf0e080
373f7c03010f1f3c 3f3f7800000f3f7e 3e1f1e06001e3f7e
0000007fffffff01 0000407fffffff00 0000007fffffff10
fcfc7c7e1e0e0c00 f8fc7c3e1f0e0e00 f8783c1e1f3e7c00
00f8f8f0e30f1f3c 20f8f0f0e70f1e3c 20f8f0f0e70f1e3c
0f1f1f3f3e78e000 0f0f1f3f3e70e0c0 1f1f1f1f3e70e080
40507c383f3c3f1f 407078787c7c3e3e 207072747273737b
24727b7a7766260c 7879f9f2f2646440 78f9f1f0c0c087ce
1e1c3c3878f8f8f0 1e1c3c3c7878f8f0 1c1c3c7c787878f8
c0f8ff8f830f1c18 c0fcffee8c0c0c1c c0f8fce0c0ccd5b5
070f1f3c7cf8b0e0 070f1e3c78f8f0f0 0f1e3c7b4abe2c90
38383e1c1f1e1f0f 30383c3c3c3e1f1f 1038393b3b393d3d
787c1c5c7e1f0e06 0038fcf87c7e3e0c e4f4fcf4b134340c
000002fffefef8f0 000000fffefefcf0 000000fffffefce0
048cfc18e4be3f0f 70f0f880c0fcff8c f8f8f880c0f8fe06
fcf8f8f8f8603600 70f8f8787c642c3c 3212c2c2e6e6763f
0000f7fffefc1c08 000087fffefe3c18 000087fffefc7c18
0f3838783d7f7980 04383c7e3f7ff800 30676fcf8e8080bf
031f3f7f7f4f0000 010f1f7fffdf0000 01173f3f7f3f0300
0103073f3f3e7c78 01030f3f3f7f381c 0f1f3f7763c0001f
c17178fefffc0000 80f0f8fcfcfce800 00e0f8f8f8f27cf0
00e0f87f7b391713 0000187e7f7f1f1f 180e01046f7f3f3f
9808eeffff706020 f8fcfcfefc600000 f8fcf8f8f080e4a0
80f07f7f0f070f03 00e07c7f3f1f0f03 80cc196f3f1f0f0d
cce17f7e787c1800 5efc7f7878780808 7f7fbcd8c8cc4400
3f3f3e7c78706040 3f3f3e7c78706040 3f7f7f7e58106000
e0f0f8f8fcff1000 e0f0f8f8fcfea000 e0f0f0f8fedee000
40f078787c3c3e3e 40f0f8787c3c3c3e 60f078787c3c3c3e
0040f8ffff0f1331 0000f8ffff0f1339 00002cffff0f13f9
1f1f1c383c7c7870 0f1f1e3c3c787870 0f0f1c1d387c7c78
1c1c1c3c3c3c7cfc 1c1c1c3c3c3c7cfc 141c3c3c3c7c7c7c
5c547cfebc1e0603 7cfcfcfcfcc40000 7c7c7c7e3e3e0400
90f0f0fc3f3f0f00 f8f8f8fc3e3c0c00 f1f9fd7c4e2c0404
000c1c3c7cfcfcfc 0000687cfcfcfcfc 0000c00cfefefefe
20387e2e333c1f1f 403cf8fc7c3c3c1c 0000783c7f3f3f1f
00e0ff7f7f1f0300 c0f0ff7f7f070100 00ceff7f7f0f0100
ffbfdfcc1c180004 7cb8f8e8bcec1818 7edcc81c2720e0fe
0000001f3fbf7eff 0000003c3cffffff 0080bb07383f7f3f
""".splitlines()
]
