#!/usr/bin/env python3
"""Tests output.py: what of a command's output may differ from a page, and what may not."""

import unittest

from output import same


class OutputTest(unittest.TestCase):
    def assert_same(self, shown, printed, command=""):
        self.assertTrue(same(shown.splitlines(), printed.splitlines(), command))

    def assert_different(self, shown, printed, command=""):
        self.assertFalse(same(shown.splitlines(), printed.splitlines(), command))

    def test_rates_times_and_the_machine_may_differ(self):
        self.assert_same("a.png: 2 images of seed 1, 7.59 images/s (bf16; AVX2, AVX-512)",
                         "a.png: 2 images of seed 1, 123 images/s (bf16; AVX2)",
                         "--seed 1")  # fmt: skip
        self.assert_same("images/s   15.64  (f32, 2 threads; AVX2)",
                         "images/s   1e+03  (bf16, 64 threads; AVX2, AMX)")  # fmt: skip
        self.assert_same("step 20, 1 s: done", "step 20, 12 s: done")
        self.assert_same('  "threads": 2,', '  "threads": 16,')
        self.assert_same("in use: AVX2", "in use: AVX2, AVX-512")

    def test_the_rest_may_not(self):
        self.assert_different("2 images of seed 1", "3 images of seed 1")
        self.assert_different("a.png: 1 image", "b.png: 1 image")
        self.assert_different("7 images/s (bf16; AVX2)", "7 images/s (f32; AVX2)")
        self.assert_different("a\nb", "a")
        self.assert_different("a", "a\nb")

    def test_a_seed_may_differ_only_if_the_command_has_none(self):
        self.assert_same("1 image of seed 5", "1 image of seed 6", "combiner sample")
        self.assert_different("1 image of seed 5", "1 image of seed 6", "combiner sample --seed 5")

    def test_numbers_with_a_decimal_point_are_compared_with_a_tolerance(self):
        self.assert_same("bits/dim   5.3632 +- 0.2153", "bits/dim   5.3670 +- 0.2150")
        self.assert_different("bits/dim   5.3632", "bits/dim   5.3700")
        self.assert_different("bits/dim   5.3632", "bits/dim   5")

    def test_three_dots_are_any_lines(self):
        self.assert_same("a\n...\nd", "a\nb\nc\nd")
        self.assert_same("a\n...", "a")
        self.assert_different("a\n...\nd", "a\nb\nc")


if __name__ == "__main__":
    unittest.main()
