"""Light curves: transients, transits, variable stars, and the noise processes seen in them.

Times are in days, fluxes relative or in the unit that an argument names. A light curve is a function of time; filters,
redshift and exposure are transforms of it. What orbits and Gaussian processes need beyond the core is in the extra
``lightcurves``.
"""

__all__: list[str] = []
