#!/usr/bin/env python3
"""Makes the seeds of mount_and_walk with mkntfs and ntfs-3g. Needs root and /dev/fuse."""

import os
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def make(name, size, cluster, fill):
    image = os.path.join(HERE, "mount_and_walk", name)
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkntfs", "-F", "-Q", "-q", "-c", str(cluster), "-L", "seed", image], check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as root:
        options = "compression,streams_interface=xattr,permissions"
        subprocess.run(["ntfs-3g", "-o", options, image, root], check=True)
        try:
            fill(root)
        finally:
            subprocess.run(["fusermount", "-u", root], check=True)
            time.sleep(1)


def write(root, name, content):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return path


def text(length):
    return "".join(f"{number * number} " for number in range(length)).encode()[:length]


def everything(root):
    write(root, "resident", b"in the record")
    write(root, "stored", text(6000))
    for number in range(50):
        write(root, f"directory/A name long enough to fill blocks, number {number}", b"x")
    streams = write(root, "streams", b"content")
    for number in range(12):
        os.setxattr(streams, f"user.stream {number}", text(700 * (number % 3) + 20))
    links = write(root, "links/0", b"links")
    for number in range(1, 12):
        os.link(links, os.path.join(root, f"links/another name of the same file, number {number}"))
    with open(os.path.join(root, "sparse"), "wb") as file:
        for place in range(0, 900, 9):
            file.seek(place << 12)
            file.write(b"island")
    os.mkdir(os.path.join(root, "compressed"))
    os.setxattr(os.path.join(root, "compressed"), "system.ntfs_attrib", struct.pack("<I", 0x800))
    write(root, "compressed/text", text(40000))
    tagged = write(root, "tagged", b"")
    name = "target".encode("utf-16le")
    link = struct.pack("<HHHHI", 0, len(name), len(name), len(name), 1) + name * 2
    os.setxattr(tagged, "system.ntfs_reparse_data", struct.pack("<IHH", 0xA000000C, len(link), 0) + link)
    os.setxattr(write(root, "identified", b""), "system.ntfs_object_id", bytes(range(16)))


def nearly_nothing(root):
    write(root, "file", text(9000))
    # XPRESS4K of which both chunks are stored as they are, as the second part of the stream's layout allows.
    content = bytes((number * 7 + number // 251) % 256 for number in range(8000))
    backed = os.path.join(root, "backed")
    with open(backed, "wb") as file:
        file.truncate(len(content))
    os.setxattr(backed, "user.WofCompressedData", struct.pack("<I", 4096) + content)
    os.setxattr(backed, "system.ntfs_reparse_data", struct.pack("<IHHIIII", 0x80000017, 16, 0, 1, 2, 1, 0))


if os.geteuid() != 0:
    sys.exit("only root can mount")
make("everything-512.img", 5 << 18, 512, everything)
make("small-4096.img", 5 << 18, 4096, nearly_nothing)
