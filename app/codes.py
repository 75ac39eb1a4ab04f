"""A coded concept, and the codes of what other people's networks outline: the words of the Model Zoo, where known."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (DICOM PS3.3 section 8.8): value, scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


PRIVATE = "99VIGIL"
"""Coding scheme of words that no table here knows: the word itself is the meaning."""
LONGEST_MEANING = 64

THRESHOLD = Code("threshold", PRIVATE, "Certainty from which on a finding is called present")
CALIBRATED = Code("calibrated", PRIVATE, "Whether the certainty was fitted to observed frequencies")

ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
UNSORTED = Code("85756007", "SCT", "Tissue")
"""Category (CID 7150) of what is coded by its word alone."""

_ANATOMY = {
    "adrenal gland": ("23451007", "Adrenal gland"),
    "aorta": ("15825003", "Aorta"),
    "bladder": ("89837001", "Bladder"),
    "bone": ("272673000", "Bone"),
    "brain": ("12738006", "Brain"),
    "breast": ("76752008", "Breast"),
    "cerebellum": ("113305005", "Cerebellum"),
    "cerebral cortex": ("40146001", "Cerebral cortex"),
    "cerebrospinal fluid": ("65216001", "Cerebrospinal Fluid"),
    "colon": ("71854001", "Colon"),
    "duodenum": ("38848004", "Duodenum"),
    "esophagus": ("32849002", "Esophagus"),
    "femur": ("71341001", "Femur"),
    "gallbladder": ("28231008", "Gallbladder"),
    "gray matter": ("389081007", "Gray Matter"),
    "heart": ("80891009", "Heart"),
    "hippocampus": ("5366008", "Hippocampus"),
    "hip": ("29836001", "Hip"),
    "inferior vena cava": ("64131007", "Inferior vena cava"),
    "kidney": ("64033007", "Kidney"),
    "lateral ventricle": ("66720007", "Lateral Ventricle"),
    "left atrium": ("82471001", "Left atrium"),
    "left ventricle": ("87878005", "Left ventricle"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "lymph node": ("59441001", "Lymph Node"),
    "pancreas": ("15776009", "Pancreas"),
    "peripheral zone": ("279706003", "Peripheral zone of the prostate"),
    "portal vein": ("32764006", "Portal vein"),
    "prostate": ("41216001", "Prostate"),
    "rectum": ("34402009", "Rectum"),
    "rib": ("113197003", "Rib"),
    "right atrium": ("73829009", "Right atrium"),
    "right ventricle": ("53085002", "Right ventricle"),
    "skin": ("39937001", "Skin"),
    "skull": ("89546000", "Skull"),
    "small intestine": ("30315005", "Small intestine"),
    "spinal cord": ("2748008", "Spinal cord"),
    "spleen": ("78961009", "Spleen"),
    "sternum": ("56873002", "Sternum"),
    "stomach": ("69695003", "Stomach"),
    "superior vena cava": ("48345005", "Superior vena cava"),
    "thyroid": ("69748006", "Thyroid"),
    "trachea": ("44567001", "Trachea"),
    "transition zone": ("399384005", "Transition zone of the prostate"),
    "uterus": ("35039007", "Uterus"),
    "vertebra": ("51282000", "Vertebra"),
    "white matter": ("389080008", "White Matter"),
}
_ABNORMAL = {
    "cyst": ("367643001", "Cyst"),
    "edema": ("79654002", "Edema"),
    "hemorrhage": ("50960005", "Hemorrhage"),
    "lesion": ("52988006", "Lesion"),
    "mass": ("4147007", "Mass"),
    "necrosis": ("6574001", "Necrosis"),
    "neoplasm": ("108369006", "Neoplasm"),
    "nodule": ("27925004", "Nodule"),
    "pleural effusion": ("60046008", "Pleural effusion"),
    "pneumothorax": ("36118008", "Pneumothorax"),
    "tumor": ("108369006", "Neoplasm"),
}
_SPELLED = MappingProxyType(
    {
        "gall bladder": "gallbladder",
        "grey matter": "gray matter",
        "haemorrhage": "hemorrhage",
        "ivc": "inferior vena cava",
        "kidneys": "kidney",
        "lungs": "lung",
        "oedema": "edema",
        "oesophagus": "esophagus",
        "postcava": "inferior vena cava",
        "small bowel": "small intestine",
        "svc": "superior vena cava",
        "thyroid gland": "thyroid",
        "tumour": "tumor",
        "urinary bladder": "bladder",
        "vertebrae": "vertebra",
        "whole tumor": "tumor",
    }
)

KNOWN: Mapping[str, tuple[Code, Code]] = MappingProxyType(
    {
        **{word: (Code(value, "SCT", meaning), ANATOMY) for word, (value, meaning) in _ANATOMY.items()},
        **{word: (Code(value, "SCT", meaning), ABNORMAL) for word, (value, meaning) in _ABNORMAL.items()},
    }
)
"""Word → code and category. A word with a side or a part ("left kidney", "tumor core") is another thing, and none."""


def code_of(name: str) -> tuple[Code, Code]:
    """Code and category of a bundle's word: of a table where it is known, else a private code with the word as meaning.

    Args:
        name: Not empty. Upper and lower case, blanks, dashes and underscores make no difference.
    """
    word = " ".join(name.replace("_", " ").replace("-", " ").casefold().split())
    word = _SPELLED.get(word, word)
    if word in KNOWN:
        return KNOWN[word]
    value = f"Z{blake2b(word.encode(), digest_size=7).hexdigest()}"
    return Code(value, PRIVATE, _fitted(name)), UNSORTED


def _fitted(name: str) -> str:
    """A meaning is at most 64 characters long (VR LO), in one line, without the sign that parts values."""
    line = " ".join(name.replace("\\", "/").split())
    return line if len(line) <= LONGEST_MEANING else f"{line[: LONGEST_MEANING - 3].rstrip()}..."
