"""How bright each tissue is on a T1-weighted MPRAGE, in units of normal white matter."""

from dataclasses import dataclass

from app.demo.phantoms.fields import stream


@dataclass(frozen=True, slots=True)
class Signals:
    """Signal of each tissue of one head, white matter 1.

    Attributes:
        enhanced: Whether contrast agent was given: vessels, plexus, pituitary, dura and mucosa take it up.
        grey, fluid: Grey matter and cerebrospinal fluid.
        blood: Venous blood; with contrast agent the brightest thing inside the skull.
        plexus, pituitary, dura, mucosa: What has no blood-brain barrier.
        fat, muscle, marrow, cortical, eye: Outside the brain.
    """

    enhanced: bool
    grey: float
    fluid: float
    blood: float
    plexus: float
    pituitary: float
    dura: float
    mucosa: float
    fat: float
    muscle: float
    marrow: float
    cortical: float
    eye: float


def sample_signals(seed: int, enhanced: bool) -> Signals:
    """Draw the tissue contrast of one examination."""
    rng = stream(seed, "mr signals")
    grey, fluid = float(rng.uniform(0.66, 0.82)), float(rng.uniform(0.20, 0.32))
    taken_up = {
        "blood": float(rng.uniform(1.45, 2.1)),
        "plexus": float(rng.uniform(1.25, 1.8)),
        "pituitary": float(rng.uniform(1.3, 1.8)),
        "dura": float(rng.uniform(0.85, 1.5)),
        "mucosa": float(rng.uniform(1.3, 1.8)),
    }
    plain = {"blood": float(rng.uniform(0.35, 0.6)), "plexus": 0.7, "pituitary": 0.9, "dura": 0.5, "mucosa": 0.75}
    return Signals(
        enhanced=enhanced,
        grey=grey,
        fluid=fluid,
        fat=float(rng.uniform(1.3, 2.0)),
        muscle=float(rng.uniform(0.5, 0.68)),
        marrow=float(rng.uniform(0.55, 1.1)),
        cortical=0.1,
        eye=float(rng.uniform(0.2, 0.3)),
        **(taken_up if enhanced else plain),
    )
