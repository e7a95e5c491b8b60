"""The README's subscriber really runs, against a real broker."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

from deploy.local.stack import LocalStack
from producers.publisher import Publisher
from schemas.messages import Cause, Recommendations
from schemas.topics import RECOMMENDATIONS

README = Path(__file__).parents[2] / "README.md"


def test_the_subscriber_of_the_readme_prints_a_list(kafka: LocalStack) -> None:
    found = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(found) == 1
    user_id = f"reader-{uuid.uuid4().hex}"
    cause = Cause(topic="behavior-events", partition=0, offset=0, record_time_ms=1, waiting_since_ms=1)
    message = Recommendations(
        user_id=user_id, items=[], state_version=1, model_name="user_encoder", model_version="1", catalog_size=0,
        generated_at_ms=1, cause=cause,
    )  # fmt: skip
    with Publisher(kafka.settings.kafka) as publisher:
        publisher.send(RECOMMENDATIONS, user_id, message)
    servers = kafka.settings.kafka.bootstrap_servers
    assert servers
    environment = {**os.environ, "PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": servers}
    ran = subprocess.run([sys.executable, "-c", found[0]], env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert f"recommendations {user_id} {{" in ran.stdout
