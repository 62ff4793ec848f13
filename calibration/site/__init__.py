"""Fitting temperature and operating points on a site's own labelled images, with figures that are fair to the site.

Whatever is fitted on images looks good on the same images. Every figure after the fit is cross-fitted: each image is
judged by a temperature and by thresholds that were fitted without its patient.
"""

from __future__ import annotations

from calibration.site.advice import advice_on
from calibration.site.cross_fitting import FOLDS, CrossFit, cross_fit, patient_folds
from calibration.site.fit import MIN_IMAGES, PointFigures, SiteFit, check_enough, fit_site
from calibration.site.rules import DEFAULT_RULES, PointRule
from calibration.site.temperature import SiteTemperature, site_temperature

__all__ = [
    "DEFAULT_RULES",
    "FOLDS",
    "MIN_IMAGES",
    "CrossFit",
    "PointFigures",
    "PointRule",
    "SiteFit",
    "SiteTemperature",
    "advice_on",
    "check_enough",
    "cross_fit",
    "fit_site",
    "patient_folds",
    "site_temperature",
]
