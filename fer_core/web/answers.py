"""What the API takes and gives, as pydantic models: they check requests and make the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from fer_core.live.predictor import SMOOTHING_SECONDS
from fer_core.web.batch import MOST_FILES, Keep, SentFile
from fer_core.web.uploads import MOST_PICTURES

Share = Annotated[float, Field(ge=0, le=1)]
Faces = Literal["find", "given"]


class _Documented(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Problem(_Documented):
    """What is wrong, and what to do."""

    error: str
    hint: str


class PredictForm(_Documented):
    """The fields beside the pictures of a multipart request."""

    faces: Faces = "find"
    """find: look for faces; given: each picture is one face, cut out as in FER-2013."""


class PredictRequest(PredictForm, extra="forbid", strict=True):
    """Pictures as base64."""

    images: Annotated[list[str], Field(min_length=1, max_length=MOST_PICTURES)]
    """Files (JPEG, PNG, BMP, WebP) as base64: also in lines, URL-safe, unpadded, or after `data:image/…;base64,`."""


class LiveForm(_Documented):
    """The fields beside the frame of a visit of the live page."""

    session: Annotated[str, Field(pattern="^[A-Za-z0-9-]{8,64}$")]
    smoothing: Annotated[float, Field(ge=0, le=10)] = SMOOTHING_SECONDS


class BoxAnswer(_Documented):
    """A rectangle in pixels of the picture; may reach outside it."""

    x: float
    y: float
    width: float
    height: float


class FaceAnswer(_Documented):
    """What was read in one face."""

    box: BoxAnswer
    label: str
    confidence: Share
    """The calibrated probability of the label."""
    unsure: bool
    """Whether the confidence is below the threshold."""
    probabilities: dict[str, Share]
    """Calibrated, by label; their sum is 1."""


class PersonAnswer(FaceAnswer):
    """What was read in one person who is followed; the label may lag behind, so that it does not flicker."""

    person: int
    """Numbers the people of a visit, from 1."""
    held: bool
    """Whether the label lags behind: another one is more probable, but not for long enough yet."""


class PictureAnswer(_Documented):
    """What was read in one picture."""

    width: int
    height: int
    faces: list[FaceAnswer]
    """The largest first; empty where no face was found."""


class PredictAnswer(_Documented):
    """What was read, by picture, in the order in which they were sent."""

    model: str
    detector: str
    images: list[PictureAnswer]


class LiveAnswer(_Documented):
    """What was read in one frame."""

    model: str
    width: int
    height: int
    faces: list[PersonAnswer]
    milliseconds: float
    """From the decoded frame to the readings."""


class JobRequest(_Documented, extra="forbid", strict=True):
    """A job to be done."""

    task: Literal["tune", "train", "retrain", "evaluate", "read", "gc"]
    arguments: dict[str, Any] = {}
    """As `python -m jobs submit TASK --help` lists them, by name."""
    unchecked: bool = False
    """Send it also where its images are not on this server: its workers have them."""


class RunAnswer(_Documented):
    """A training in a line of a list."""

    id: str
    title: str
    """What somebody called it; without such a name, its recipe or network."""
    name: str
    """Its recipe, or its network where it has no recipe."""
    tags: list[str]
    notes: str
    is_archived: bool
    """Whether lists leave it out."""
    kind: str
    parent: str | None
    parents: list[str]
    """What has a page of what it was made from: a search for a trial, else runs."""
    status: str
    epoch: int
    epochs: int | None
    accuracy: Share | None
    accuracy_interval: tuple[float, float] | None
    macro_f1: Share | None
    split: str | None
    images: int | None
    data: str | None
    data_set: str | None
    """The id of its data set, which is known under it while it is where it was."""
    is_in_use: bool
    created_utc: str
    finished_utc: str | None
    seconds: float | None
    """From its start to its end; of one that was resumed, from the last start."""
    message: str
    history_csv: str
    settings: dict[str, Any]
    """Those that lists can show."""


class OpenQuery(_Documented, extra="forbid"):
    """Which runs are wanted."""

    open: Literal["", "yes"] = ""
    """yes: only those that wait or are trained."""


RunsAnswer = create_model("RunsAnswer", __doc__="All trainings.", runs=list[RunAnswer])


class RunDetailAnswer(_Documented):
    """All that is known of a training."""

    run: RunAnswer
    config: dict[str, Any]
    facts: dict[str, Any]
    monitor: str
    best: dict[str, Any] | None
    seconds_left: float | None
    epochs: list[dict[str, Any]]
    """A row per finished epoch: loss, accuracy, val_accuracy, val_macro_f1, learning_rate …"""
    evaluation: dict[str, Any] | None
    plots: list[str]
    files: list[str]


class JobAnswer(_Documented):
    """A job in a line of a list."""

    id: str
    task: str
    about: str
    status: str
    is_open: bool
    queue: str
    run: str | None
    search: str | None
    attempt: int
    doing: str
    share: float | None
    """How much is done, 0..1."""
    seconds_left: float | None
    created_utc: str
    started_utc: str | None
    finished_utc: str | None
    message: str
    """Why it has failed, or what it says."""
    waits_for_broker: bool
    """Whether it is written down but not in a queue: workers put it there when they reach the broker."""
    cancel_requested: bool
    can_cancel: bool
    can_resume: bool


JobsAnswer = create_model("JobsAnswer", __doc__="The jobs, open ones first.", jobs=list[JobAnswer])


class JobDetailAnswer(JobAnswer):
    """All that is known of a job."""

    arguments: dict[str, Any]
    result: dict[str, Any] | None
    crashes: int
    worker: str | None
    log: str
    """The end of what its process printed."""
    files: list[str]
    """Of a study: its report and tables."""


class WorkersAnswer(_Documented):
    """Whether the broker answers, and who takes jobs from which queue."""

    reachable: bool
    problem: str
    hint: str
    waiting: int | None
    queues: dict[str, list[str]]
    workers: list[str]
    wanted: dict[str, int]
    """How many workers would find something to do, or are at work, by queue; known without the broker too."""


class SearchAnswer(_Documented):
    """All that is shown of a search."""

    search: dict[str, Any]
    seconds: float | None
    seconds_left: float | None
    done: Share
    """How much of it is done, the confirmations too."""
    running: list[dict[str, Any]]
    parameters: list[dict[str, Any]]
    trials: list[dict[str, Any]]
    best_over_time: list[dict[str, Any]]
    best_toml: str | None


class SurfaceQuery(_Documented, extra="forbid"):
    """The two settings of a map; empty: the most important ones."""

    x: Annotated[str, Field(max_length=100)] = ""
    y: Annotated[str, Field(max_length=100)] = ""


class SearchSettingsAnswer(_Documented):
    """What the finished trials of a search say about its settings."""

    trials: int
    needed: int
    """With fewer finished trials nothing is said."""
    explained: float | None
    """R² for trials that were left out; near 0 or below, the rest is chance."""
    settings: list[dict[str, Any]]
    """name, share (0..1 of all settings together) and spread, the most important first."""
    surface: dict[str, Any] | None
    """x and y, their points xs and ys, and the expected scores, a row for each of ys."""


class BatchRequest(_Documented, extra="forbid", strict=True):
    """Files that are to be sent in pieces: pictures, videos, zips of them."""

    files: Annotated[list[SentFile], Field(min_length=1, max_length=MOST_FILES)]
    keep: Keep = "session"
    """session: until it is read and nobody asked for it for an hour. Else so long from its start on."""
    faces: Faces = "find"


class PieceQuery(_Documented, extra="forbid"):
    """Where a piece belongs."""

    offset: Annotated[int, Field(ge=0, le=2**50)]
    """The bytes of the file before it."""


class AnnotateRequest(_Documented, extra="forbid", strict=True):
    """What is to be drawn with what was read in it."""

    what: Annotated[str, Field(pattern="^(pictures|0|[1-9][0-9]{0,5})$")]
    """pictures, or the number of a video."""


class SentAnswer(SentFile):
    """A file of an upload."""

    there: int
    """So much of it is here."""


class BatchAnswer(_Documented):
    """How far an upload is."""

    status: Literal["sending", "reading", "done", "failed", "deleted"]
    files: list[SentAnswer]
    """Those that are to be sent; none once it is started."""
    piece_bytes: int
    """The most that may be sent at a time."""
    doing: str
    share: float | None
    """How much is here, or read, 0..1."""
    problem: str
    hint: str
    keep: Keep
    expires_utc: str


class NewBatchAnswer(BatchAnswer):
    """A new upload."""

    upload: str
    """By which it is named in addresses; who knows it may see and delete the upload."""
    page: str


AnnotateAnswer = create_model("AnnotateAnswer", __doc__="Whether it is drawn.", is_made=bool, problem=str)
PieceAnswer = create_model("PieceAnswer", __doc__="How much of the file is here.", there=int)


class DataRequest(_Documented, extra="forbid", strict=True):
    """A data set to be opened."""

    data: Annotated[str, Field(min_length=1, max_length=4000)]
    """As --data takes it: a folder or a file on the server, or sample."""
    label_map: Annotated[str, Field(max_length=4000)] = ""
    """a=b,c=d; affectnet, fer2013, rafdb, expw or ckplus (what their numbers mean); none."""
    votes: Annotated[str, Field(max_length=4000)] = ""
    """FER+'s table of votes, ferplus to download it, or none."""
    vote_classes: Literal[7, 8] = 8


class DataSetAnswer(_Documented):
    """A data set in a line of a list."""

    id: str
    name: str
    source: str
    settings: str
    """How it is read, where that is not as usual."""
    status: Literal["not read yet", "being read", "read", "cannot be read"]
    is_here: bool
    """Whether it is where it was."""
    is_listed: bool
    """Whether somebody opened it; others are those of runs, the usual one, and the sample."""
    images: int | None
    classes: int | None


DataSetsAnswer = create_model("DataSetsAnswer", __doc__="The data sets.", data_sets=list[DataSetAnswer])


class DataSetDetailAnswer(_Documented):
    """All that is known of a data set: what was read as what, how many images there are, and what is wrong with it."""

    data_set: DataSetAnswer
    progress: str
    """While it is being read."""
    problem: str
    """Why it cannot be read, or not be trained on as it is."""
    hint: str
    report: dict[str, Any] | None
    """Format, labels and what was read as them, votes, persons, and what was left out; null until it is read."""
    counts: dict[str, dict[str, int]]
    """Images by part and class."""
    titles: dict[str, str]
    """What the parts are called."""
    findings: dict[str, int]
    """How many images each finding of the audit has."""
    unreadable: list[dict[str, str]]
    """The first of the pictures that cannot be read."""


class ImagesQuery(_Documented, extra="forbid"):
    """Which images of a data set are wanted."""

    split: Annotated[str, Field(max_length=200)] = ""
    label: Annotated[str, Field(max_length=200)] = ""
    finding: Annotated[str, Field(max_length=40)] = ""
    start: Annotated[int, Field(ge=0, le=10**9)] = 0
    """So many are passed over."""


class DataImageAnswer(_Documented):
    """An image of a data set."""

    position: int
    """By which it is named here, as long as `mark` is the same."""
    name: str
    label: str
    split: str
    may_be_relabelled: bool
    """Whether it is a training image: others keep their labels, as scores would change with them."""
    kept_as: str
    """The label under which it waits in the inbox; empty where it does not."""
    note: str
    """What the finding says of it."""
    suggestion: str
    """The label that networks gave it, where its own is suspicious."""


class ImagesAnswer(_Documented):
    """Some images of a data set."""

    mark: str
    """Of this state of the data set."""
    count: int
    """Of all that were asked for."""
    start: int
    images: list[DataImageAnswer]


class RelabelRequest(_Documented, extra="forbid", strict=True):
    """A label for some training images, for the next retraining."""

    mark: Annotated[str, Field(max_length=64)]
    images: Annotated[list[Annotated[int, Field(ge=0, le=10**9, strict=False)]], Field(min_length=1, max_length=200)]
    """Their positions."""
    label: Annotated[str, Field(max_length=200)]
    """Empty: for each the suggested one. Their own label takes a correction back."""


RelabelAnswer = create_model(
    "RelabelAnswer", __doc__="How many images wait in the inbox now.", kept=int, taken_back=int
)


class CellQuery(_Documented, extra="forbid"):
    """A cell of a confusion matrix."""

    truth: Annotated[str, Field(max_length=200)]
    predicted: Annotated[str, Field(max_length=200)]
    start: Annotated[int, Field(ge=0, le=10**9)] = 0


class CellImageAnswer(_Documented):
    """A test image and what the model said of it."""

    position: int
    name: str
    confidence: Share
    """The calibrated probability of what it was taken for."""
    others: dict[str, Share]
    """The next most probable labels."""


class CellAnswer(_Documented):
    """The test images that a model took for something, the surest first."""

    truth: str
    predicted: str
    progress: str
    """While the images are being read."""
    problem: str
    """Why they cannot be shown."""
    hint: str
    mark: str
    count: int
    start: int
    images: list[CellImageAnswer]


HealthAnswer = create_model("HealthAnswer", __doc__="The server answers.", status=Literal["ok"])
