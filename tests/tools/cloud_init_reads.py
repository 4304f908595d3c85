"""What cloud-init makes of user-data; run by the Python that has cloud-init. Words: a folder, a file with user-data."""

import json
import sys
from pathlib import Path

from cloudinit import handlers, helpers, user_data, util  # type: ignore[import-not-found]
from cloudinit.handlers.cloud_config import CloudConfigPartHandler  # type: ignore[import-not-found]

folder, file = sys.argv[1:]
paths = helpers.Paths({"cloud_dir": folder, "run_dir": folder})
message = user_data.UserDataProcessor(paths).process(Path(file).read_bytes())
handler = CloudConfigPartHandler(paths)
handler.handle_part(None, handlers.CONTENT_START, None, None, None, None)
for part in message.walk():
    if not part.is_multipart():
        payload = util.fully_decoded_payload(part)
        handler.handle_part(None, part.get_content_type(), part.get_filename(), payload, "always", dict(part))
print(json.dumps(handler.cloud_buf))
