"""What the library uses of AUTOMATIC1111's web UI 1.10.1 and its forks, which cannot be installed as packages."""
