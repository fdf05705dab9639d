"""Edits of labels: what people merge, split, delete and paint, and what that makes of a block.

requests.py        what is asked for, in a file or on the command line
edit.py            the same with all that follows from the labels: its box, the ids it touches
edit_log.py        the append-only file of them
object_boxes.py    which objects there are after some edits, and where
object_classes.py  of which class they are
edit_session.py    checks requests against the labels and appends them
edited_labels.py   the kernel: a block of labels after some edits
seeded_split.py    the kernel of a split
painted_shape.py   the kernel of a stroke or box
history.py         which edits a volume or a table has, and what is stale of it
"""
