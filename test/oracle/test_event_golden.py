"""The table of the event decoder's unit test is what the oracle says today."""

import os
import unittest

import event_golden


class EventGolden(unittest.TestCase):
    def test_the_table_in_the_tree_is_the_oracles(self):
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
        with open(os.path.join(root, event_golden.PATH), encoding="ascii") as file:
            self.assertEqual(file.read(), event_golden.table(), "run test/oracle/event_golden.py from the root")

    def test_every_reason_and_many_events_are_in_it(self):
        said = [event_golden.describe(text) for text in event_golden.texts()]
        for reason in event_golden.userprofile.REASONS[1:]:
            self.assertGreater(said.count(reason.encode()), 5, reason)
        self.assertGreater(sum(b"|" in text for text in said), 100)


if __name__ == "__main__":
    unittest.main()
