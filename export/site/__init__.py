"""A bundle for one site: the same weights with the site's own temperature and operating points, and its evidence."""

from __future__ import annotations

from export.site.fit_bundle import SiteReport, fit_site_bundle
from export.site.options import SiteOptions
from export.site.text import site_text

__all__ = ["SiteOptions", "SiteReport", "fit_site_bundle", "site_text"]
