"""Arguments and options that several verbs of the command line share."""

from typing import Annotated

import typer

RecipeName = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="Packaged recipe or path to a YAML file."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field; repeatable."),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="URI", help="Local path or s3:// (default runs/RECIPE)."
    ),
]
CommonOut = Annotated[
    str | None,
    typer.Option("--out", metavar="URI", help="Where several runs' report goes."),
]
WeightsFile = Annotated[
    str, typer.Argument(metavar="FILE", help="Checkpoint, or folder of diffusers.")
]
NewFile = Annotated[
    str, typer.Option("--out", metavar="FILE", help="File to write, which is new.")
]
RunOut = Annotated[str, typer.Argument(metavar="OUT", help="OUT of a run.")]
Recompute = Annotated[
    int, typer.Option("--recompute", metavar="N", help="Blocks to vote again.")
]
Confirm = Annotated[
    bool, typer.Option("--confirm", help="Certify the winner on held-out images, once.")
]
PilotImages = Annotated[
    int, typer.Option("--pilot", metavar="N", help="Images of a new pilot.")
]
ShownImages = Annotated[
    int, typer.Option("--images", metavar="N", help="Images to look at.")
]
BesideRecipes = Annotated[
    list[str] | None,
    typer.Option("--beside", metavar="RECIPE", help="To compare with; repeatable."),
]
LpipsFile = Annotated[
    str | None,
    typer.Option("--lpips", metavar="FILE", help="VGG16 that measures distances."),
]
Verbose = Annotated[
    int, typer.Option("-v", count=True, help="More log; -vv even more.")
]
