"""Write configs/server.yaml anew from the settings' definitions: python scripts/write_server_yaml.py."""

from pathlib import Path

from augserve_server.settings import settings_yaml

if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("configs/server.yaml").write_text(settings_yaml(), encoding="utf-8")
