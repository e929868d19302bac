"""From sign-up to a downloaded file with the generated client. Arguments: base URL, a video, an image."""

import io
import sys
import time
from http import HTTPStatus
from pathlib import Path

from rushes_api import AuthenticatedClient, Client
from rushes_api.api.accounts import login, sign_up
from rushes_api.api.images import create_image, show_image
from rushes_api.api.tasks import create_task, download_output, plan, show_task
from rushes_api.models import (
    ImageUpload, Login, Mp4Output, Mp4OutputKind, PlanRequest, PosterOutput, PosterOutputKind, Recipe, SignUp, Status, UploadForm,
    Watermark,
)
from rushes_api.types import File

PASSWORD = "123abc456"


def expect(reply, status: HTTPStatus):
    """The parsed body of a reply that must have this status."""
    assert reply.status_code == status, (reply.status_code, reply.content)
    return reply.parsed


def main(base_url: str, video: str, image: str) -> None:
    name = f"python-{time.time_ns()}"
    anonymous = Client(base_url)
    account = SignUp(username=name, password1=PASSWORD, password2=PASSWORD, email=f"{name}@example.com")
    expect(sign_up.sync_detailed(client=anonymous, body=account), HTTPStatus.CREATED)
    token = expect(login.sync_detailed(client=anonymous, body=Login(username=name, password=PASSWORD)), HTTPStatus.OK).token
    client = AuthenticatedClient(base_url, token)

    image_bytes = Path(image).read_bytes()
    form = ImageUpload(file=File(io.BytesIO(image_bytes), "logo.png", "image/png"), name="mark")
    expect(create_image.sync_detailed(client=client, body=form), HTTPStatus.CREATED)
    assert expect(show_image.sync_detailed("mark", client=client), HTTPStatus.OK).payload.read() == image_bytes

    outputs = [Mp4Output(kind=Mp4OutputKind.MP4, max_height_px=90), PosterOutput(kind=PosterOutputKind.POSTER)]
    form = UploadForm(
        file=File(io.BytesIO(Path(video).read_bytes()), "clip.mp4", "video/mp4"),
        recipe=Recipe(watermark=Watermark(image="mark"), outputs=outputs),
    )
    id_ = expect(create_task.sync_detailed(client=client, body=form), HTTPStatus.CREATED).id
    while (task := expect(show_task.sync_detailed(id_, client=client), HTTPStatus.OK)).status != Status.PROCESSED:
        assert task.status in (Status.UPLOADED, Status.PROCESSING), task.error
        time.sleep(0.05)
    expect(plan.sync_detailed(client=client, body=PlanRequest(task=id_, recipe=task.recipe)), HTTPStatus.OK)
    year, month, day, name = task.file_path.split("/")
    file = expect(download_output.sync_detailed(year, month, day, name, client=client), HTTPStatus.OK)
    assert len(file.payload.read()) == task.outputs[0].bytes_


main(*sys.argv[1:])
