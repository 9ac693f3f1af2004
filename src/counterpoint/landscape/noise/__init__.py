"""Random fields on a torus, each with its exact gradient, by one interface."""

from counterpoint.landscape.noise._hash import directions, mixed, uniforms
from counterpoint.landscape.noise._octaves import Octaves
from counterpoint.landscape.noise._perlin import Perlin
from counterpoint.landscape.noise._simplex import Simplex
from counterpoint.landscape.noise._waves import Waves

__all__ = ["Octaves", "Perlin", "Simplex", "Waves", "directions", "mixed", "uniforms"]
