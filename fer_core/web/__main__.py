"""`python -m fer_core.web`: serves the web page and the API until Ctrl-C, or writes a static site."""

import os
import sys

from fer_core.cli import ended


def main() -> None:
    """Reads the command line and serves. Raises FerError for what the user can mend."""
    from fer_core.web.settings import parse

    settings, paths = parse(sys.argv[1:])

    if settings.export_site:
        from fer_core.web.site import export

        size, folder = export(settings.export_site, settings, paths), settings.export_site
        print(f"The site is in {folder}: {size / 1e6:.1f} MB. Try it: python -m http.server --directory {folder}")
        return

    from fer_core.job.broker import broker_url
    from fer_core.web.serving import serve

    broker_url(os.environ, paths)
    serve(settings, paths)


def run() -> int:
    """Returns the exit code: what `fer-web` is where the package is installed."""
    return ended(main)


if __name__ == "__main__":
    sys.exit(run())
