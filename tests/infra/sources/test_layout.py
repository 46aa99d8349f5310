from infra.sources.layout import LAYOUTS


def test_every_layout_has_the_name_it_is_chosen_by() -> None:
    assert sorted(LAYOUTS) == [
        "cifar10_binary",
        "class_folders",
        "flat_devkit",
        "hf_parquet",
        "imagenet64_npz",
        "kaggle",
        "webdataset",
    ]
    for name, layout in LAYOUTS.items():
        assert layout.model_fields["source"].default == name
