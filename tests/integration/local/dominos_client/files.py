"""Files: uploaded, listed, read by key and by path."""

import io

from domino import exceptions


def drive(connect):
    domino = connect("domino/files")
    content = bytes(range(256))
    uploaded = domino.files_upload("data/new ü.bin", io.BytesIO(content))
    domino.files_upload("/data/second.txt", io.BytesIO(b"second"))
    latest, before = domino.commits_list()[:2]
    listed = {file["path"]: file for file in domino.files_list(latest, "/")["data"]}
    try:
        domino.files_download("hello.py")
        without_commit = None
    except TypeError as error:
        without_commit = str(error)
    try:
        domino.blobs_get_v2("data/../hello.py", latest, domino.project_id)
        crooked = None
    except exceptions.MalformedInputException as error:
        crooked = type(error).__name__
    return {
        "status": uploaded.status_code,
        "location": uploaded.headers["Location"],
        "answer": uploaded.json(),
        "sizes": {path: file["size"] for path, file in listed.items()},
        "below": [file["path"] for file in domino.files_list(latest, "data")["data"]],
        "before": [file["path"] for file in domino.files_list(before, "data")["data"]],
        "by_key": list(domino.blobs_get(listed["data/new ü.bin"]["key"]).read()),
        "by_path": list(domino.blobs_get_v2("data/new ü.bin", latest, domino.project_id).read()),
        "downloaded": domino.files_download("/data/second.txt", latest).read().decode(),
        "without_commit": without_commit,
        "crooked": crooked,
    }
