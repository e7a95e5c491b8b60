"""Apache Kafka's jars: fetched once from Maven Central into a cache that all projects of this user share."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.local.child import Children
from schemas.errors import ConfigError
from schemas.settings import Settings

KAFKA_VERSION = "4.3.1"
POM = Path(__file__).with_name("kafka-jars.pom.xml")
JAVA_MIN = 17
FETCH_TIMEOUT_S = 600.0
INSTALL_JAVA = "install a JDK of version 17 or later (Debian: `apt-get install openjdk-17-jre-headless`), or set JAVA_HOME"
INSTALL_MAVEN = "install Maven (Debian: `apt-get install maven`); it is needed once, to download Kafka"


def jars_folder(settings: Settings) -> Path:
    """Where Kafka's jars are kept; it exists only when the download was complete."""
    return settings.runtime.cache_folder.expanduser() / f"kafka-{KAFKA_VERSION}"


def java_path() -> str:
    """The `java` to run: JAVA_HOME's, else the one on the PATH.

    Raises:
        ConfigError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if java is None:
        raise ConfigError(
            f"Kafka needs Java, and there is no `java` {f'in {home}/bin' if home else 'on the PATH'}: {INSTALL_JAVA}"
        )
    return java


def java_version(java: str) -> int:
    """The feature version (17, 21, …) of a `java`.

    Raises:
        ConfigError: it cannot be run, or does not say its version.
    """
    try:
        output = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{java} -version failed ({error}): {INSTALL_JAVA}") from error
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    if found is None:
        raise ConfigError(f"{java} does not say its version: {INSTALL_JAVA}")
    return int(found[1])


def fetch_jars(settings: Settings, children: Children, log: Path) -> Path:
    """The folder of Kafka's jars, downloaded by Maven (its output in `log`) when it is not there yet.

    An interrupted download leaves nothing that would be trusted: the jars arrive in a folder beside it that is renamed last.

    Raises:
        ConfigError: Maven is missing or failed.
    """
    folder = jars_folder(settings)
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigError(f"Kafka's jars are not in {folder} and there is no `mvn` to fetch them: {INSTALL_MAVEN}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as fresh:
        run_maven(maven, Path(fresh) / "jars", children, log)
        try:
            (Path(fresh) / "jars").rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, and its jars are as good
                raise
    return folder


def run_maven(maven: str, output: Path, children: Children, log: Path) -> None:
    """Download the jars of the pom into `output`."""
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={output}"]
    child = children.start(command, os.environ, log)
    try:
        returncode = child.wait(FETCH_TIMEOUT_S)
    finally:
        child.stop()
    if returncode is None:
        raise ConfigError(f"downloading Kafka took longer than {FETCH_TIMEOUT_S:.0f} s; is Maven Central reachable? See {log}")
    if returncode != 0 or not any(output.glob("kafka_*.jar")):
        reason = next((line for line in child.last_lines(100).splitlines() if "ERROR" in line), "no reason given")
        raise ConfigError(f"downloading Kafka {KAFKA_VERSION} with Maven failed: {reason} (all of it in {log})")
