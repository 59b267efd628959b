"""Requests over http and https alone."""

import urllib.request


def open_web_only(*more: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """An opener with a proxy if one is set, and `more` handlers, such as one for redirects.

    urllib's own opens files and ftp too; here a redirect to them finds no handler.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        *more,
    ):
        opener.add_handler(handler)
    return opener
