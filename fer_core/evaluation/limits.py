"""What no model of facial emotion must be used for, and under which terms the images are, for model cards."""

from fer_core.data.fer2013 import NAME as FER2013

LIMITS = (
    "An expression is not a feeling. The model says which of a few words people would most likely write under a "
    "picture of a face; it does not know what the person feels.",
    "Expect worse results on faces, light and cameras unlike those that it was trained on. Nobody recorded age, gender "
    "or origin of the people shown, so errors by group are not known.",
    "Do not use it to decide about people: hiring, work, school, insurance, credit, police, border, justice, health, "
    "or whether someone lies. Do not use it on people who do not know about it. In the European Union, reading "
    "emotions at work and in education is forbidden, but for medical or safety reasons.",
)
_LICENCES = {
    FER2013: "FER-2013 asks for a citation (Goodfellow et al. 2013); no licence for its pictures is known. They were "
    "collected from the web and show real people: treat them as research data.",
    "sample": "The sample's faces are drawn by this project and are under the MIT licence, like the program.",
}
_UNKNOWN = "The licence of these images is not known here: whoever brought them knows it."


def licence_of(data: str | None) -> str:
    """Returns what is known of the licence of a data set's images."""
    return _LICENCES.get(data or "", _UNKNOWN)
