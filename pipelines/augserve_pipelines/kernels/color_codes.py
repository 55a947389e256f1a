"""What a program of colours is made of, and how a job of it is described to a kernel."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Code", "Column"]


class Code(IntEnum):
    """A step, and the value that goes with it. Those from CONTRAST on have to know the whole image."""

    NOTHING = 0
    BRIGHTNESS = 1  # a factor
    SATURATION = 2  # a factor
    HUE = 3  # a share of the circle
    GRAY = 4
    PERMUTE = 5  # channels a, b, c of the input, as a + 3 b + 9 c
    POSTERIZE = 6  # the bits that are kept, as a mask
    SOLARIZE = 7  # the least value that is inverted
    INVERT = 8
    CONTRAST = 9  # a factor
    EQUALIZE = 10
    AUTOCONTRAST = 11
    SHARPNESS = 12  # a factor


class Column(IntEnum):
    """The columns of a job, which is one segment of the program of one image."""

    SOURCE = 0  # an address
    SOURCE_CHANNEL = 1  # the distance of channels in bytes
    SOURCE_PIXEL = 2
    TARGET = 3  # an address; 0: nothing is written
    TARGET_CHANNEL = 4
    TARGET_PIXEL = 5
    HEIGHT = 6
    WIDTH = 7
    IMAGE = 8  # its number
    HEAD = 9  # the code of the step that has to know the whole image; 0: there is none
    HEAD_STEP = 10  # its place among all steps
    BEGIN = 11  # the places of the steps after it
    END = 12
    NEXT = 13  # the code of the next segment's head, where it needs statistics; 0: it does not
    NEXT_STEP = 14
    ORDER_CHANNEL = 15  # how torch counts the values that it blends: the distance of channels in them
    ORDER_PIXEL = 16
    TWICE_FROM = 17  # which of them it rounds twice
    TWICE_TO = 18
