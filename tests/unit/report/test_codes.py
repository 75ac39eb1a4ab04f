"""The code table against the dictionary of DICOM and against what is known to be wrong."""

from pydicom.sr._concepts_dict import concepts

from app.findings import FINDING_KINDS, OUTCOME_CODES, PRESENCE_CODES, Outcome, Presence
from app.report import items, lesions, projection, regions, sr


def meanings(scheme: str, value: str) -> set[str]:
    return {codes[value][0].lower() for codes in concepts[scheme].values() if value in codes}


def test_the_table_is_what_was_agreed() -> None:
    assert {k.name: (k.code.value, k.code.scheme, k.site and k.site.value) for k in FINDING_KINDS.values()} == {
        "intracranial_hemorrhage": ("1386000", "SCT", None),
        "subarachnoid_hemorrhage": ("21454007", "SCT", None),
        "subdural_hemorrhage": ("35486000", "SCT", None),
        "epidural_hemorrhage": ("82999001", "SCT", None),
        "intraventricular_hemorrhage": ("50960005", "SCT", "35764002"),
        "intraparenchymal_hemorrhage": ("274100004", "SCT", None),
        "brain_metastasis": ("14799000", "SCT", "12738006"),
        "wrist_fracture": ("125605004", "SCT", "74670003"),
        "lung_lesion": ("52988006", "SCT", "39607008"),
        "pneumothorax": ("36118008", "SCT", None),
        "atelectasis": ("46621007", "SCT", None),
        "cardiomegaly": ("287272002", "SCT", None),
        "lung_consolidation": ("95436008", "SCT", None),
        "pulmonary_edema": ("19242006", "SCT", None),
        "pleural_effusion": ("60046008", "SCT", None),
        "interstitial_opacity": ("112004", "DCM", None),
    }


def test_presence_and_outcome_cover_their_context_groups() -> None:
    assert (set(PRESENCE_CODES), set(OUTCOME_CODES)) == (set(Presence), set(Outcome))


def test_what_dicom_lists_means_what_we_say() -> None:
    ours = [
        *PRESENCE_CODES.values(),
        *OUTCOME_CODES.values(),
        *(c for kind in FINDING_KINDS.values() for c in (kind.code, kind.site, kind.category) if c),
        items.FAMILY,
        items.CERTAINTY,
        sr.PRESENCE,
        sr.STATUS,
        items.COMMENT,
        sr.ANY_PROCEDURE,
        *sr.PROCEDURES.values(),
        lesions.VOLUME,
        lesions.CUBIC_MILLIMETER,
        lesions.LONG_AXIS,
        lesions.MILLIMETER,
        regions.BOUNDED_BY,
        regions.VISUAL_EXPLANATION,
        regions.GRAD_CAM,
        *projection.REGIONS.values(),
        *projection.VIEWS.values(),
        *projection.SIDES.values(),
    ]
    listed = {c: meanings(c.scheme, c.value) for c in ours}
    wrong = [c for c, found in listed.items() if found and not any(m.startswith(c.meaning.lower()) for m in found)]
    assert (wrong, {c.value for c, found in listed.items() if not found}) == (
        [],
        # SNOMED CT, but in no context group of DICOM
        {"21454007", "35486000", "82999001", "274100004", "125605004", "46621007", "95436008"},
    )


def test_the_code_that_a_public_script_has_wrong_is_not_used() -> None:
    assert "95455008" not in {kind.code.value for kind in FINDING_KINDS.values()}
