"""Interactive figures: one JavaScript module each, live in Jupyter, kernel-free on a page of the book.

    DistortionBitrate    measured distortion of the codes against their rate, with the limits
    ErrorMap             the linears of a quantized model by layer and kind, colored by what each has lost
    GolayPlayground      24 bits to flip, the nearest code words, the sextet of a tie
    LatticePlane         a lattice of the plane to deform by its basis: cell, deep holes, density, second moment
    LatticeSpace         Z^3, D3 and its dual on one path: the cell as a solid to turn, its neighbors, balls
    PlaneCodes           Z^2, the hexagonal lattice and a trellis at equal bits: a point to drag, its cell, its error
    PointIndex           an index of the ball of 13 shells and its lattice point, each to be edited
    Reconstructions      pictures after autoencoders, side by side, under a slider for the bits
    SamePrompt           a prompt continued with fewer and fewer bits, each word judged by the original
    SearchTrace          24 numbers to edit, and the exact search for them step by step, to its certificate
    ShapeGainSplit       a fixed budget divided between direction and length
    ShellOnion           shells of the Leech lattice: points, classes and bits of any run of them
    SphereProjection     the 196,560 minimal vectors in a plane, by class or by angle
    SquaresHexagons      points on square and hexagonal cells, and how their mean errors settle

A widget is three files: NAME.js, an ES module that ends with ``export default { render };`` (the form that
anywidget loads), NAME.css, and NAME.py, which gives it its data and a static picture. `_base.Widget` puts the shared
helpers before them and shows the module through anywidget in a notebook, and as plain HTML for the loader in
book/_static/llvq/ when the book is built. Nothing here imports anywidget before a widget is shown. Tests:
tests/test_widgets*.py, tests/browser/test_widget*.py.
"""

from llvq_mini.widgets.distortion_bitrate import DistortionBitrate
from llvq_mini.widgets.error_map import ErrorMap
from llvq_mini.widgets.golay_playground import GolayPlayground
from llvq_mini.widgets.lattice_plane import LatticePlane
from llvq_mini.widgets.lattice_space import LatticeSpace
from llvq_mini.widgets.plane_codes import PlaneCodes
from llvq_mini.widgets.point_index import PointIndex
from llvq_mini.widgets.reconstructions import Reconstruction, Reconstructions
from llvq_mini.widgets.same_prompt import SamePrompt
from llvq_mini.widgets.search_trace import SearchTrace
from llvq_mini.widgets.shape_gain import ShapeGainSplit
from llvq_mini.widgets.shell_onion import ShellOnion
from llvq_mini.widgets.sphere_projection import SphereProjection
from llvq_mini.widgets.squares_hexagons import SquaresHexagons

__all__ = [
    "DistortionBitrate",
    "ErrorMap",
    "GolayPlayground",
    "LatticePlane",
    "LatticeSpace",
    "PlaneCodes",
    "PointIndex",
    "Reconstruction",
    "Reconstructions",
    "SamePrompt",
    "SearchTrace",
    "ShapeGainSplit",
    "ShellOnion",
    "SphereProjection",
    "SquaresHexagons",
]
