"""Volumes and runs in neuroglancer, in the browser: `volproc view`.

scene.py       which layers a run or some volumes have, and where the first look goes
layers.py      a volume as neuroglancer's layers
stores.py      the files that may be read through the server, and no others
outlines.py    the borders of labels, as a volume that exists only while it is looked at
mending.py     picks and buttons that merge, split, delete and undo
edit_handler.py  who may edit through the server
server.py      neuroglancer's own server, with the files, the list of objects and the saved view
"""
